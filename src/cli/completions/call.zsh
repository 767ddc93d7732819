# Behind `call`, the tools and their flags, as the server listed them last.
_securemcp() {
    local -a found
    if (( ${words[(I)call]} )); then
        found=(${(f)"$(command securemcp __complete "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)"})
        (( $#found )) && compadd -a found
        [[ $#found -gt 0 && $PREFIX != -* ]] && return 0
    fi
    _securemcp_words "$@" || (( $#found ))
}
