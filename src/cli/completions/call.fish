# Behind `call`, the tools and their flags, as the server listed them last.
function __fish_securemcp_call
    command securemcp __complete (commandline -cp | string collect) 2>/dev/null
end
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -f -a "(__fish_securemcp_call)"
