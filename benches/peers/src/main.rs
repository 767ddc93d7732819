//! The least that guards a tool with a token: what `benches/run` compares securemcp with.
//!
//! They verify RS256 tokens of one issuer, and all but the floor and those that end in `-verify` remember which were good
//! by their SHA-256. They check no scope, host or session owner, write no log line and drain nothing.
//!
//! usage: peers MODE ADDRESS KEYS ISSUER AUDIENCE
//!        peers tokens KEYS ISSUER AUDIENCE COUNT
//!        peers tools ADDRESS COUNT
//!
//! KEYS is a file with the issuer's JWK set. `tokens` makes it, and writes as many tokens as it is told, a line each.
//! `tools` is a server of rmcp with so many tools and no verifier.

mod by_hand;
mod rmcp;
mod tokens;
mod verifier;

use std::process::ExitCode;

use axum::{Router, routing::post, serve::ListenerExt as _};

use verifier::Verifier;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["tokens", keys, issuer, audience, count] => {
            tokens::write(keys, issuer, audience, count.parse().expect("a number of tokens"));
        }
        ["tools", address, count] => serve(address, rmcp::open_routes(count.parse().expect("a number of tools"))),
        [mode, address, keys, issuer, audience] => {
            let caches = !mode.ends_with("-verify");
            let verifier = || Verifier::new(keys, issuer, audience, caches);
            let routes = match mode.trim_end_matches("-verify") {
                "floor" => Router::new().route("/mcp", post(by_hand::floor)),
                "jsonrpc" => Router::new().route("/mcp", post(by_hand::json_rpc)).with_state(verifier()),
                "rest" => Router::new().route("/api/v1/tools/echo", post(by_hand::rest)).with_state(verifier()),
                "rmcp" => rmcp::routes(verifier()),
                _ => return usage(),
            };
            serve(address, routes);
        }
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: peers floor|jsonrpc|rest|rmcp[-verify] ADDRESS KEYS ISSUER AUDIENCE");
    eprintln!("       peers tokens KEYS ISSUER AUDIENCE COUNT");
    eprintln!("       peers tools ADDRESS COUNT");
    ExitCode::from(2)
}

fn serve(address: &str, routes: Router) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.expect("the address is free");
        // Without it an event stream waits 40 ms for each small write.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, routes).await.expect("it runs until it is killed");
    });
}
