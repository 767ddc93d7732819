# Completes a command line as bash does on Tab, and prints the candidates.
# usage: bash complete.bash SCRIPT WORD...
# shellcheck disable=SC1090
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=0
COMP_POINT=${#COMP_LINE}
function=$(complete -p securemcp)
function=${function##*-F }
"${function%% *}" securemcp "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
