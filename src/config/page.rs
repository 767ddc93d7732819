//! docs/ENVIRONMENT.md, made from the table of keys.

use std::fmt::Write as _;

use super::keys::{Fallback, Key, TOKEN_VARIABLE, keys};

const BEFORE: &str = "\
# Settings

<!-- Generated from src/config/keys.rs by src/config/page.rs; `UPDATE=1 cargo test --lib config::page` writes it. -->

Every setting has a key in the configuration file; most have an environment variable, some a flag. What is said later wins:
defaults, then the file, then the environment, then flags. All problems are reported together, each with the place that the
value came from. An unknown key in the file and an unknown `SECUREMCP_*` variable are problems too.

A key's column *clients* says whether commands other than `serve` read it, and *live* whether a running server takes over a
new value on `SIGHUP` (see [Reloading](#reloading)). In brackets: the names that the original program
read, which keep working; a variable of ours beats them.

| key | variable | flag | default | clients | live | meaning |
|---|---|---|---|---|---|---|
";

const AFTER: &str = "
## Values
- Lists are TOML arrays in the file, and text with spaces or commas between the items in variables. A list's flag may be
  repeated.
- Durations are `25s`, `5m`, `1h`, or seconds without a unit.
- `server.listen` takes an IP address, or `localhost` for `127.0.0.1`.

## The file
`serve` reads `--config FILE`, else `./securemcp.toml`, else `$XDG_CONFIG_HOME/securemcp/securemcp.toml` (`~/.config` if that is
unset). Every other command reads `--config FILE`, else the one below `$XDG_CONFIG_HOME`, and never a file from the working
directory: a cloned repository must not be able to redirect credentials.

```toml
state_dir = \"/var/lib/securemcp\"

[server]
listen = \"127.0.0.1:8000\"
resource = \"https://mcp.example.com/mcp\"

[issuer]
url = \"https://kc.example.com/realms/mcp-realm\"
```

A file that group or others may write is refused: `chmod go-w FILE`.

## Secrets
No secret is taken from the command line. A secret comes from its variable, from a file that `<VARIABLE>_FILE` names
(`SECUREMCP_CLIENT_SECRET_FILE=/run/secrets/client_secret`), or from a file that its flag names. A line break at the file's end is
dropped. A file that every account may read gets a warning, since mounted secrets often are like that; one that group or others
may write is refused. `SECUREMCP_TOKEN` has no `_FILE` form: use `--token-file`.

## Env files
`--env-file FILE` adds variables below those of the real environment. No other env file is ever read. Lines are `NAME=value`, with
an optional `export ` in front, `#` comments, and optional single or double quotes round the value; nothing is expanded.

## Looking at them
`securemcp config show` prints every setting with the place that it comes from, as a configuration file or with `--output json`;
secrets are not shown. `config show --client` prints what client commands read. `securemcp serve --check` reports what is wrong.

## Reloading
On `SIGHUP` a running server reads its files anew: the configuration file, the env file, files with secrets, certificate and
key. If anything is wrong, every problem is logged and nothing changes. Else the keys marked *live* change at once; the log
names the others that were changed, which wait for a restart. No connection, session or request is dropped. Log and audit files
are opened anew, so that they can be rotated. With the embedded issuer `scopes.supported` waits for a restart too.

## The original's variables
- An empty one counts as unset.
- `KEYCLOAK_URL` and `KEYCLOAK_REALM` together make `issuer.url`: `<KEYCLOAK_URL>/realms/<KEYCLOAK_REALM>`. `OAUTH_ISSUER` beats them.
  The issuer is a name, compared exactly with the one in tokens; if the server reaches it elsewhere, set
  `SECUREMCP_ISSUER_BACKCHANNEL_URL` too.
- `HOST` and `PORT` replace the address and the port of `server.listen`, with a warning, while `SECUREMCP_LISTEN` and `--listen` are
  unset. A `HOST` that is no IP address is ignored with a warning.
- `EXTERNAL_*`, `INTERNAL_*` and `PUBLIC_*` variables of `KEYCLOAK`, `BASE`, `MCP` and `SERVER` have no effect; `serve` says what to set
  instead. Nor have `APP_NAME`, `APP_VERSION`, `CONTAINER_ENV`, `DEBUG` and `WORKERS`, but these are common names: `serve` mentions
  them only beside another variable of the original.
- `LOG_LEVEL` may be in any case, and `WARNING` and `CRITICAL` are understood.

Variables that Kubernetes sets for a Service named `securemcp` (`SECUREMCP_SERVICE_HOST`, `SECUREMCP_PORT` and so on) are not settings
and are ignored in a pod.
";

/// The whole page.
pub(super) fn page() -> String {
    let mut page = BEFORE.to_owned();
    for key in keys() {
        row(&mut page, key);
    }
    let _ = writeln!(
        page,
        "| (environment only) | `{TOKEN_VARIABLE}` | `--token-file` | none | yes | | an access token from elsewhere; not read \
         by `serve` |"
    );
    page + AFTER
}

fn row(page: &mut String, key: &Key) {
    let names: Vec<_> = key.original.iter().map(|name| format!("`{name}`")).collect();
    let original = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let variable = key.variable.map(|name| format!("`{name}`")).unwrap_or_default();
    let file = key.file_variable().map(|name| format!(", `{name}`")).unwrap_or_default();
    let flag = key.flag.map(|flag| format!("`{flag}`")).unwrap_or_default();
    let default = match key.default {
        Fallback::Value(value) => format!("`{value}`"),
        Fallback::Unset(words) => words.to_owned(),
    };
    let clients = if key.for_clients { "yes" } else { "" };
    let live = if key.reloads { "yes" } else { "" };
    let names = format!("{variable}{file}{original}");
    let (path, names, doc) = (key.path, names.trim_start(), key.doc);
    let _ = writeln!(page, "| `{path}` | {names} | {flag} | {default} | {clients} | {live} | {doc} |");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ENVIRONMENT.md");
        #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page(),
            "docs/ENVIRONMENT.md is stale; write it with: UPDATE=1 cargo test --lib config::page"
        );
    }

    #[test]
    fn every_cell_stays_in_its_column() {
        assert!(keys().iter().all(|key| !format!("{}{}", key.doc, key.default.text()).contains(['|', '\n'])));
    }
}
