# An MCP server on stdio for POSIX sh. It writes what it is and what it reads into the folder $1, and lies as $2 says.
folder=$1
lie=$2
env > "$folder/environment"
echo "$$" >> "$folder/pids"
ls -l "/proc/$$/fd" > "$folder/descriptors" 2>/dev/null
starts=$(wc -l < "$folder/pids")

answer() {
    printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"
}

case $lie in
    dies) echo "cannot find the configuration" >&2; exit 3 ;;
    grandchild) sleep 1000 & echo "$!" > "$folder/grandchild" ;;
    stubborn) trap '' TERM; sleep 1000 & echo "$!" > "$folder/grandchild" ;;
    noisy) printf 'red \033[31m line\nsecond\n' >&2 ;;
    floods) head -c 3000000 /dev/zero | tr '\0' '\n' >&2; head -c 3000000 /dev/zero | tr '\0' 'x' >&2 ;;
esac

while IFS= read -r line; do
    printf '%s\n' "$line" >> "$folder/read"
    id=${line#*\"id\":}
    id=${id%%,*}
    case $line in
        *'"method":"server/discover"'*)
            if [ "$lie" = silent ]; then continue; fi
            if [ "$lie" = modern ]; then
                answer '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"child","version":"1"}}}'
            else
                printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}\n' "$id"
            fi ;;
        *'"method":"initialize"'*)
            answer '{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"child","version":"1"}}' ;;
        *'"method":"tools/list"'*)
            if [ "$lie" = garbage ]; then
                printf 'Server is running on stdio\n{"jsonrpc":"2.0","id":77777,"result":{}}\n{{{\n[1,2]\n'
            fi
            answer '{"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"crash","inputSchema":{"type":"object"}},{"name":"pid","inputSchema":{"type":"object"}},{"name":"slow","inputSchema":{"type":"object"}},{"name":"long","inputSchema":{"type":"object"}},{"name":"noise","inputSchema":{"type":"object"}}]}' ;;
        *'"name":"crash"'*)
            echo "out of memory" >&2
            exit 9 ;;
        *'"name":"slow"'*) ;;
        *'"name":"long"'*)
            printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"' "$id"
            head -c 17000000 /dev/zero | tr '\0' 'x'
            printf '"}]}}\n' ;;
        *'"name":"noise"'*)
            yes 'what is no message' ;;
        *'"name":"pid"'*)
            answer "{\"content\":[{\"type\":\"text\",\"text\":\"$$\"}]}" ;;
        *'"method":"tools/call"'*)
            text=${line#*\"text\":\"}
            text=${text%%\"*}
            answer "{\"content\":[{\"type\":\"text\",\"text\":\"$text\"}]}" ;;
    esac
done
case $lie in
    stubborn) wait; while :; do sleep 1; done ;;
esac
