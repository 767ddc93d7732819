//! Answers a server that asks for the caller's model, by a command of the user's.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::client::{BoxFuture, Sampler};

/// Longest answer of a sampling command, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// `--sampling-command`: the request as JSON on its standard input, the answer's text on its standard output.
#[derive(Debug)]
pub(super) struct SamplingCommand(pub(super) String);

impl Sampler for SamplingCommand {
    fn sample(&self, request: Value) -> BoxFuture<'_, Result<String, String>> {
        let command = self.0.clone();
        Box::pin(async move {
            let answer = tokio::task::spawn_blocking(move || ask(&command, &request));
            answer.await.unwrap_or_else(|_| Err("the sampling command could not be waited for".to_owned()))
        })
    }
}

fn ask(command: &str, request: &Value) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("the sampling command `{command}` failed: {error}");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        let request = request.to_string();
        // Not every command reads what it is asked; one that also writes before it reads must not wait for us.
        std::thread::spawn(move || drop(stdin.write_all(request.as_bytes())));
    }
    let mut answer = String::new();
    let read = child.stdout.take().map(|stdout| stdout.take(MAX_ANSWER_BYTES).read_to_string(&mut answer));
    let status = child.wait().map_err(failed)?;
    read.transpose().map_err(failed)?;
    if !status.success() {
        return Err(format!("the sampling command `{command}` ended with {status}"));
    }
    Ok(answer.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_command_reads_the_request_and_writes_the_answer() {
        assert_eq!(ask("cat", &json!({"a": 1})).unwrap(), r#"{"a":1}"#);
        assert_eq!(ask("echo short", &json!({"long": "x".repeat(1 << 20)})).unwrap(), "short");
    }

    #[test]
    fn a_command_that_fails_is_named() {
        let error = ask("exit 3", &json!({})).unwrap_err();
        assert!(error.contains("`exit 3`") && error.contains('3'), "{error}");
    }
}
