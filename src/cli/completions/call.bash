
# Behind `call`, the tools and their flags, as the server listed them last.
_securemcp_call() {
    _securemcp "$@"
    [[ "${COMP_LINE}" == *call* ]] || return 0
    local word found=()
    while IFS= read -r word; do
        found+=("${word}")
    done < <(command securemcp __complete "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    [[ ${#found[@]} -gt 0 ]] || return 0
    if [[ "$2" == -* ]]; then
        COMPREPLY+=("${found[@]}")
    else
        COMPREPLY=("${found[@]}")
    fi
}
