#!/bin/bash
# Starts Keycloak, which reads secrets from its environment only: NAME_FILE becomes NAME, for every such variable.
set -euo pipefail
for variable in "${!KC_@}" "${!KEYCLOAK_@}" "${!MCP_@}"; do
    [[ $variable == *_FILE ]] || continue
    name=${variable%_FILE}
    value=$(<"${!variable}")
    [[ -n $value ]] || { echo "error: the file of $variable is empty" >&2; exit 1; }
    export "$name=$value"
    unset "$variable"
done
exec bash "${KEYCLOAK_HOME:-/opt/keycloak}/bin/kc.sh" "$@"
