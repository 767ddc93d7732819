# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_securemcp_global_optspecs
    string join \n config= env-file= output= q/quiet v/verbose color= timeout= login-timeout= ca= server= issuer= issuer-backchannel-url= state-dir= h/help V/version
end

function __fish_securemcp_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_securemcp_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_securemcp_using_subcommand
    set -l cmd (__fish_securemcp_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c securemcp -n "__fish_securemcp_needs_command" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_needs_command" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_needs_command" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_needs_command" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_needs_command" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_needs_command" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_needs_command" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_needs_command" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_needs_command" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_needs_command" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_needs_command" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_needs_command" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_needs_command" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_needs_command" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_needs_command" -s V -l version -d 'Print version'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "health" -d 'Check the server, its issuer and keys; say what to do about each failure'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "config" -d 'Look at the settings'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "audit" -d 'Look at audit logs'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "serve" -d 'Run the server'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "init" -d 'Write securemcp.toml and an env file with secrets'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "call" -d 'Call a tool on any MCP server'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "tools" -d 'List the server\'s tools, their arguments and the scopes they need'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "resource" -d 'List and read the resources of any MCP server'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "prompt" -d 'List and get the prompts of any MCP server'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "skill" -d 'List and read the skills of any MCP server; a file that is not what the server lists is not shown'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "token" -d 'Get an access token, look at it, end it'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "dcr" -d 'Register a client with the issuer, look at it, change it, delete it; clear up at a Keycloak'
complete -c securemcp -n "__fish_securemcp_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l wait -d 'Check again until nothing fails, for this long' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l only -d 'Ask the server for this alone, by whatever name it is reached: for health checks of containers' -r -f -a "live\t'It runs'
ready\t'It takes calls'"
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand health" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand completions" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -f -a "show" -d 'Show every setting and where it comes from'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and not __fish_seen_subcommand_from show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -l client -d 'What client commands read, instead of `serve`'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show every setting and where it comes from'
complete -c securemcp -n "__fish_securemcp_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -f -a "verify" -d 'Check that no line was changed, taken out, put in, moved or cut off'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l expect -d 'A copy of the head from before, whose lines must be there' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l continued -d 'The log began in files before these, which are gone for good'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -l closed -d 'The log goes on in files after these: look for no head, but for the end of every chain'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check that no line was changed, taken out, put in, moved or cut off'
complete -c securemcp -n "__fish_securemcp_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l listen -d 'IP address and port to listen on [env: SECUREMCP_LISTEN] [default: 127.0.0.1:8000]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l resource -d 'The URL that names this server: what tokens must be issued for [env: SECUREMCP_RESOURCE] [default: the listening URL on loopback, else required]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l tls-cert -d 'A file with the server\'s certificate chain, in PEM [env: SECUREMCP_TLS_CERT] [default: plain http]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l tls-key -d 'A file with the private key of the certificate, in PEM [env: SECUREMCP_TLS_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l trusted-proxy -d 'Addresses or networks of the TLS proxies in front; required beyond loopback without TLS; repeatable [env: SECUREMCP_TRUSTED_PROXIES] [default: forwarded headers are ignored]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l metrics-listen -d 'Where Prometheus reads `/metrics`, without a token [env: SECUREMCP_METRICS_LISTEN] [default: off]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l redis-url -d '`redis://` or `rediss://` URL: replicas share the issuer\'s keys, sessions and rates there [env: SECUREMCP_REDIS_URL] [default: this process\'s memory]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l upstream -d 'The MCP server to guard, by its URL (docs/GATEWAY.md) [env: SECUREMCP_UPSTREAM_URL] [default: the server has tools of its own]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l upstream-command -d 'The MCP server to guard, by the command that starts it on stdio; quotes as in a shell, but there is none [env: SECUREMCP_UPSTREAM_COMMAND]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l upstream-token-file -d 'A file with this server\'s own bearer token for `upstream.url`; tokens of callers are never passed on [env: SECUREMCP_UPSTREAM_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l audit-file -d 'A file that audit events are appended to, in JSON, whatever the level of the log [env: SECUREMCP_AUDIT_FILE] [default: the log, target `audit`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l log-level -d '`error`, `warn`, `info`, `debug` or `trace` [env: SECUREMCP_LOG_LEVEL] [default: info]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l log-format -d '`text`, `json`, or `auto`: text on a terminal, json otherwise [env: SECUREMCP_LOG_FORMAT] [default: auto]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l check -d 'Check the whole configuration and the state directory, bind nothing, and exit'
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l tls-self-signed -d 'Serve https with a certificate of its own, kept in the state directory [env: SECUREMCP_TLS_SELF_SIGNED]'
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l embedded-issuer-on-network -d 'Let the embedded issuer face the network'
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l cimd-allow-loopback -d 'Let a client\'s metadata document be on this machine, by http too; embedded issuer on loopback only'
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -l auto-approve -d 'Ask nobody: programs on this machine get `mcp:read`, or the scopes written here, as `dev`; to try things'
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand serve" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l directory -d 'Where to write them' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l listen -d 'IP address and port to listen on [env: SECUREMCP_LISTEN] [default: 127.0.0.1:8000]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l resource -d 'The URL that names this server: what tokens must be issued for [env: SECUREMCP_RESOURCE] [default: the listening URL on loopback, else required]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l tls-cert -d 'A file with the server\'s certificate chain, in PEM [env: SECUREMCP_TLS_CERT] [default: plain http]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l tls-key -d 'A file with the private key of the certificate, in PEM [env: SECUREMCP_TLS_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l trusted-proxy -d 'Addresses or networks of the TLS proxies in front; required beyond loopback without TLS; repeatable [env: SECUREMCP_TRUSTED_PROXIES] [default: forwarded headers are ignored]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l audit-file -d 'A file that audit events are appended to, in JSON, whatever the level of the log [env: SECUREMCP_AUDIT_FILE] [default: the log, target `audit`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l log-level -d '`error`, `warn`, `info`, `debug` or `trace` [env: SECUREMCP_LOG_LEVEL] [default: info]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l log-format -d '`text`, `json`, or `auto`: text on a terminal, json otherwise [env: SECUREMCP_LOG_FORMAT] [default: auto]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -s y -l yes -d 'Ask nothing: take flags and defaults'
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l force -d 'Replace files that are there'
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l compose -d 'Write what the deployment in compose/ needs instead: .env, and secrets with a certificate in secrets/'
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -l tls-self-signed -d 'Serve https with a certificate of its own, kept in the state directory [env: SECUREMCP_TLS_SELF_SIGNED]'
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand init" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l json -d 'All arguments as one JSON object; `@FILE` or `-` read it from a file or standard input' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l arg -d 'One argument, by the name that the tool\'s schema gives it' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l sampling-command -d 'A shell command that answers when the tool asks for a model: request on its stdin, answer on its stdout' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l token-file -d 'Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l grant -d 'How to get a token [default: as a machine that has a key or a secret, else by a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l answer -d 'Fill in one field of a form that the server asks for; a list\'s again and again' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l answer-json -d 'The same as one JSON object; `@FILE` or `-` read it from a file or standard input, `{}` takes every form\'s defaults' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l no-browser -d 'Log in without a browser here: print the address to go to, and take the one that the login ends at'
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -s h -l help -d 'Print help, of the tool if there is one'
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l token-file -d 'Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l grant -d 'How to get a token [default: as a machine that has a key or a secret, else by a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l answer -d 'Fill in one field of a form that the server asks for; a list\'s again and again' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l answer-json -d 'The same as one JSON object; `@FILE` or `-` read it from a file or standard input, `{}` takes every form\'s defaults' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l no-browser -d 'Log in without a browser here: print the address to go to, and take the one that the login ends at'
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand tools" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -f -a "list" -d 'List the server\'s resources, and the templates of their URIs'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -f -a "read" -d 'Print a resource as it is: text, or bytes where stdout is no terminal'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and not __fish_seen_subcommand_from list read help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l token-file -d 'Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l grant -d 'How to get a token [default: as a machine that has a key or a secret, else by a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l answer -d 'Fill in one field of a form that the server asks for; a list\'s again and again' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l answer-json -d 'The same as one JSON object; `@FILE` or `-` read it from a file or standard input, `{}` takes every form\'s defaults' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l no-browser -d 'Log in without a browser here: print the address to go to, and take the one that the login ends at'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l token-file -d 'Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l grant -d 'How to get a token [default: as a machine that has a key or a secret, else by a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l answer -d 'Fill in one field of a form that the server asks for; a list\'s again and again' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l answer-json -d 'The same as one JSON object; `@FILE` or `-` read it from a file or standard input, `{}` takes every form\'s defaults' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l no-browser -d 'Log in without a browser here: print the address to go to, and take the one that the login ends at'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from read" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the server\'s resources, and the templates of their URIs'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from help" -f -a "read" -d 'Print a resource as it is: text, or bytes where stdout is no terminal'
complete -c securemcp -n "__fish_securemcp_using_subcommand resource; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -f -a "list" -d 'List the server\'s prompts and their arguments'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -f -a "get" -d 'Print a prompt with its arguments filled in'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and not __fish_seen_subcommand_from list get help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l token-file -d 'Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l grant -d 'How to get a token [default: as a machine that has a key or a secret, else by a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l answer -d 'Fill in one field of a form that the server asks for; a list\'s again and again' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l answer-json -d 'The same as one JSON object; `@FILE` or `-` read it from a file or standard input, `{}` takes every form\'s defaults' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l no-browser -d 'Log in without a browser here: print the address to go to, and take the one that the login ends at'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l arg -d 'One argument of the prompt' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l token-file -d 'Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l grant -d 'How to get a token [default: as a machine that has a key or a secret, else by a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l answer -d 'Fill in one field of a form that the server asks for; a list\'s again and again' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l answer-json -d 'The same as one JSON object; `@FILE` or `-` read it from a file or standard input, `{}` takes every form\'s defaults' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l no-browser -d 'Log in without a browser here: print the address to go to, and take the one that the login ends at'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the server\'s prompts and their arguments'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from help" -f -a "get" -d 'Print a prompt with its arguments filled in'
complete -c securemcp -n "__fish_securemcp_using_subcommand prompt; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -f -a "list" -d 'List the server\'s skills; nothing of them is read'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -f -a "read" -d 'Print a skill\'s text, or one of its files, if its size, digest and frontmatter are what the server lists'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and not __fish_seen_subcommand_from list read help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l token-file -d 'Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l grant -d 'How to get a token [default: as a machine that has a key or a secret, else by a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l answer -d 'Fill in one field of a form that the server asks for; a list\'s again and again' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l answer-json -d 'The same as one JSON object; `@FILE` or `-` read it from a file or standard input, `{}` takes every form\'s defaults' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l no-browser -d 'Log in without a browser here: print the address to go to, and take the one that the login ends at'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l token-file -d 'Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l grant -d 'How to get a token [default: as a machine that has a key or a secret, else by a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l answer -d 'Fill in one field of a form that the server asks for; a list\'s again and again' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l answer-json -d 'The same as one JSON object; `@FILE` or `-` read it from a file or standard input, `{}` takes every form\'s defaults' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l no-browser -d 'Log in without a browser here: print the address to go to, and take the one that the login ends at'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from read" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the server\'s skills; nothing of them is read'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from help" -f -a "read" -d 'Print a skill\'s text, or one of its files, if its size, digest and frontmatter are what the server lists'
complete -c securemcp -n "__fish_securemcp_using_subcommand skill; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -f -a "get" -d 'Print an access token for the server, and nothing else'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -f -a "inspect" -d 'Show what a token says, and whether the server would accept it'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -f -a "revoke" -d 'Revoke the kept token at its issuer, and forget it'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -f -a "forget" -d 'Forget the kept tokens of the server, without telling the issuer'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and not __fish_seen_subcommand_from get inspect revoke forget help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l grant -d 'How to get a token [default: as a machine that has a key or a secret, else by a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l no-browser -d 'Log in without a browser here: print the address to go to, and take the one that the login ends at'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l header -d 'Print a whole `Authorization` header'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l new -d 'Get a new token although a good one is kept'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l token-file -d 'Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l scope -d 'Scopes to ask for, separated by spaces [default: what the server asks for]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l resource -d 'The resource to get the token for [default: what the server calls itself]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l client-secret-file -d 'A file with the secret of `client.id` [env: SECUREMCP_CLIENT_SECRET]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l private-key -d 'A file with the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523) [env: SECUREMCP_CLIENT_PRIVATE_KEY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l private-key-id -d 'The `kid` by which the issuer knows `client.private_key` [env: SECUREMCP_CLIENT_PRIVATE_KEY_ID] [default: the key\'s RFC 7638 thumbprint]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l client-metadata-url -d 'The https URL of a document that describes this client (CIMD), for issuers that read such documents [env: SECUREMCP_CLIENT_METADATA_URL] [default: a client is registered for logins]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l assertion-file -d 'A file with a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523) [env: SECUREMCP_ASSERTION]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l workload-identity -d '`github-actions`: have the CI provider that runs this job make such a JWT for the issuer [env: SECUREMCP_WORKLOAD_IDENTITY]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l id-token-file -d 'A file with the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization) [env: SECUREMCP_ID_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l identity-provider -d 'The issuer of `client.id_token` [env: SECUREMCP_IDENTITY_PROVIDER]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l identity-provider-client-id -d 'The client that `client.id_token` was issued to [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID] [default: `client.id`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l identity-provider-client-secret-file -d 'A file with that client\'s secret [env: SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET] [default: it is a public client]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -l dpop -d 'Bind access tokens to a key of this account (DPoP), so that nobody else can use them [env: SECUREMCP_DPOP]'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "get" -d 'Print an access token for the server, and nothing else'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show what a token says, and whether the server would accept it'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revoke the kept token at its issuer, and forget it'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Forget the kept tokens of the server, without telling the issuer'
complete -c securemcp -n "__fish_securemcp_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -f -a "register" -d 'Register a client and keep it for later commands'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -f -a "show" -d 'Show the kept registration, as the issuer has it'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -f -a "update" -d 'Change the kept registration at its issuer'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -f -a "delete" -d 'Delete the kept registration at its issuer, then here'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -f -a "prune" -d 'List the clients that registered themselves at a Keycloak and are used no more, or delete them'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and not __fish_seen_subcommand_from register show update delete prune help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l name -d 'The client\'s name, for people' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l grant -d 'A grant the client will use; repeatable [default: `client_credentials`, or with `--redirect-uri` those of a login]' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''
refresh_token\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l redirect-uri -d 'Where people come back to after they logged in; repeatable [default for a login: this machine]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l scope -d 'The scopes that the client may ask for, separated by spaces' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l auth-method -d 'How the client proves itself [default: `client_secret_basic`, or `none` for logins that come back to this machine]' -r -f -a "client_secret_basic\t''
client_secret_post\t''
private_key_jwt\t''
none\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l keycloak-admin -d 'The administrator of a Keycloak who opens its registration endpoint and gives clients their roles [env: SECUREMCP_KEYCLOAK_ADMIN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l keycloak-admin-password-file -d 'A file with the password of `client.keycloak_admin` [env: SECUREMCP_KEYCLOAK_ADMIN_PASSWORD]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l initial-access-token-file -d 'A file with the token that opens the issuer\'s registration endpoint [env: SECUREMCP_INITIAL_ACCESS_TOKEN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l new -d 'Register anew although a working registration is kept'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l auto-update -d 'Write client id and secret into the file of `--env-file`; its other lines stay'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -l show-secrets -d 'Print secrets instead of `[redacted]`'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from register" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -l show-secrets -d 'Print secrets instead of `[redacted]`'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l name -d 'A new name, for people' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l scope -d 'The scopes that the client may ask for from now on, separated by spaces' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l grant -d 'A grant the client will use; repeatable' -r -f -a "client_credentials\t''
authorization_code\t''
device_code\t''
refresh_token\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l redirect-uri -d 'Where people come back to after they logged in; repeatable' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -l show-secrets -d 'Print secrets instead of `[redacted]`'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from update" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l client-id -d 'A client id registered beforehand [env: SECUREMCP_CLIENT_ID]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -l forget -d 'Only forget it here; the issuer is not told'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l unused-days -d 'For how many days nobody has registered, changed or used them' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l keycloak-admin -d 'The administrator of a Keycloak who opens its registration endpoint and gives clients their roles [env: SECUREMCP_KEYCLOAK_ADMIN]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l keycloak-admin-password-file -d 'A file with the password of `client.keycloak_admin` [env: SECUREMCP_KEYCLOAK_ADMIN_PASSWORD]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l config -d 'Read settings from this file' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l env-file -d 'Read environment variables from this file, beside the process\'s own' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l output -d 'What stdout carries' -r -f -a "text\t''
json\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l color -d 'When to use colour [env: NO_COLOR]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l timeout -d 'How long one request may take' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l login-timeout -d 'How long a person may take to log in' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l ca -d 'Trust the certificates in this PEM file, beside the system\'s' -r -F
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l server -d 'The MCP server that commands talk to [env: SECUREMCP_SERVER] [default: http://127.0.0.1:8000/mcp]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l issuer -d 'The issuer\'s name, exactly as its tokens carry it; for clients the only issuer that may be used [env: SECUREMCP_ISSUER] [default: the embedded issuer]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l issuer-backchannel-url -d 'Where the issuer is reached from here [env: SECUREMCP_ISSUER_BACKCHANNEL_URL] [default: `issuer.url`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l state-dir -d 'Where keys, registrations and tokens are kept [env: SECUREMCP_STATE_DIR] [default: `$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`]' -r
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -l delete -d 'Delete them'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -s q -l quiet -d 'Print results and errors only'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -s v -l verbose -d 'Log what happens to stderr; twice for more'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from help" -f -a "register" -d 'Register a client and keep it for later commands'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the kept registration, as the issuer has it'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from help" -f -a "update" -d 'Change the kept registration at its issuer'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete the kept registration at its issuer, then here'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from help" -f -a "prune" -d 'List the clients that registered themselves at a Keycloak and are used no more, or delete them'
complete -c securemcp -n "__fish_securemcp_using_subcommand dcr; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "health" -d 'Check the server, its issuer and keys; say what to do about each failure'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "config" -d 'Look at the settings'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "audit" -d 'Look at audit logs'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "serve" -d 'Run the server'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "init" -d 'Write securemcp.toml and an env file with secrets'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "call" -d 'Call a tool on any MCP server'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "tools" -d 'List the server\'s tools, their arguments and the scopes they need'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "resource" -d 'List and read the resources of any MCP server'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "prompt" -d 'List and get the prompts of any MCP server'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "skill" -d 'List and read the skills of any MCP server; a file that is not what the server lists is not shown'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "token" -d 'Get an access token, look at it, end it'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "dcr" -d 'Register a client with the issuer, look at it, change it, delete it; clear up at a Keycloak'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and not __fish_seen_subcommand_from health completions config audit serve init call tools resource prompt skill token dcr help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show every setting and where it comes from'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Check that no line was changed, taken out, put in, moved or cut off'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from resource" -f -a "list" -d 'List the server\'s resources, and the templates of their URIs'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from resource" -f -a "read" -d 'Print a resource as it is: text, or bytes where stdout is no terminal'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from prompt" -f -a "list" -d 'List the server\'s prompts and their arguments'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from prompt" -f -a "get" -d 'Print a prompt with its arguments filled in'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from skill" -f -a "list" -d 'List the server\'s skills; nothing of them is read'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from skill" -f -a "read" -d 'Print a skill\'s text, or one of its files, if its size, digest and frontmatter are what the server lists'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "get" -d 'Print an access token for the server, and nothing else'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "inspect" -d 'Show what a token says, and whether the server would accept it'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "revoke" -d 'Revoke the kept token at its issuer, and forget it'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "forget" -d 'Forget the kept tokens of the server, without telling the issuer'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from dcr" -f -a "register" -d 'Register a client and keep it for later commands'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from dcr" -f -a "show" -d 'Show the kept registration, as the issuer has it'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from dcr" -f -a "update" -d 'Change the kept registration at its issuer'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from dcr" -f -a "delete" -d 'Delete the kept registration at its issuer, then here'
complete -c securemcp -n "__fish_securemcp_using_subcommand help; and __fish_seen_subcommand_from dcr" -f -a "prune" -d 'List the clients that registered themselves at a Keycloak and are used no more, or delete them'
# Behind `call`, the tools and their flags, as the server listed them last.
function __fish_securemcp_call
    command securemcp __complete (commandline -cp | string collect) 2>/dev/null
end
complete -c securemcp -n "__fish_securemcp_using_subcommand call" -f -a "(__fish_securemcp_call)"
