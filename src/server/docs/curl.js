// The same request for a shell.

/** The command of a call; the token is a variable of the shell. */
export function curlOf(url, body) {
  return [
    `curl -sS ${quoted(url)}`,
    `-H "Authorization: Bearer $TOKEN"`,
    `-H 'Content-Type: application/json'`,
    `-d ${quoted(JSON.stringify(body))}`,
  ].join(" \\\n  ");
}

/** The command that gets a token with these scopes. */
export function tokenOf(server, scope) {
  return `TOKEN=$(securemcp token get --server ${quoted(server)} \\\n  --scope ${quoted(scope)})`;
}

function quoted(text) {
  return /^[\w:/.,@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
