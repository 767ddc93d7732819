# Presses Tab behind a command line in a real interactive zsh, and prints the line as it is then.
# usage: zsh -f complete.zsh DIRECTORY_OF_THE_SCRIPT LINE
zmodload zsh/zpty
zpty child zsh -f -i
zpty -w child "fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w child 'pressed() { zle complete-word; print -r -- "<<$BUFFER>>" }; zle -N pressed; bindkey "^I" pressed'
zpty -w child 'print ready$((40 + 2))'
zpty -r child seen '*ready42*'
zpty -w -n child "$2"$'\t'
zpty -r child seen '*<<*>>*'
seen=${seen##*<<}
print -r -- "${seen%%>>*}"
zpty -d child
