//! What one caller sends about another's call (facts S14): it reaches nobody.

use reqwest::Response;
use serde_json::{Value, json};

use crate::{drain::event, harness::server::Guarded};

/// Alice, whose call waits for an answer of her model, and Bob with a session of his own.
struct Two {
    guarded: Guarded,
    alice: (String, String),
    bob: (String, String),
}

impl Two {
    async fn meet() -> Self {
        let guarded = Guarded::start().await;
        let (alice, bob) = (guarded.token(&json!({})), guarded.token(&json!({"sub": "bob"})));
        let can = json!({"sampling": {}});
        let sessions = (guarded.begin_with(&alice, &can).await, guarded.begin_with(&bob, &can).await);
        Self { guarded, alice: (alice, sessions.0), bob: (bob, sessions.1) }
    }

    /// A call that asks its caller: the stream of its answer, and the question.
    async fn asks(&self, who: &(String, String)) -> (Response, Value) {
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "summarize",
            "arguments": {"text": "A long story."}, "_meta": {"progressToken": "p"}}});
        let mut stream = self.guarded.in_session(&who.0, &who.1, call.to_string()).await;
        let question = event(&mut stream).await;
        assert_eq!(question["method"], "sampling/createMessage");
        (stream, question)
    }

    /// Sends a message to a session; the status of the answer.
    async fn sends(&self, token: &str, session: &str, message: &Value) -> u16 {
        self.guarded.in_session(token, session, message.to_string()).await.status().as_u16()
    }
}

fn answer(question: &Value, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": question["id"], "result": {"role": "assistant", "model": "m",
        "content": {"type": "text", "text": text}}})
}

#[tokio::test]
async fn s14_what_another_sends_about_a_call_does_not_reach_it() {
    let two = Two::meet().await;
    let (mut of_alice, question) = two.asks(&two.alice).await;
    let (token, own) = &two.bob;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": "p", "progress": 1}});
    for message in [&answer(&question, "Bob's."), &cancel, &progress] {
        // By his own session, where the same ids mean nothing; by hers, which is none of his.
        assert_eq!(two.sends(token, own, message).await, 202, "{message}");
        assert_eq!(two.sends(token, &two.alice.1, message).await, 404, "{message}");
    }
    assert_eq!(two.sends(&two.alice.0, &two.alice.1, &answer(&question, "Alice's.")).await, 202);
    let result = event(&mut of_alice).await;
    assert_eq!(result["result"]["structuredContent"], json!({"summary": "Alice's."}), "{result}");
}

#[tokio::test]
async fn s14_equal_ids_of_two_callers_do_not_meet() {
    let two = Two::meet().await;
    let ((mut of_alice, to_alice), (mut of_bob, to_bob)) = tokio::join!(two.asks(&two.alice), two.asks(&two.bob));
    assert_eq!(to_alice["id"], to_bob["id"], "or this proves nothing");
    assert_eq!(two.sends(&two.bob.0, &two.bob.1, &answer(&to_bob, "Bob's.")).await, 202);
    assert_eq!(event(&mut of_bob).await["result"]["structuredContent"]["summary"], "Bob's.");
    assert_eq!(two.sends(&two.alice.0, &two.alice.1, &answer(&to_alice, "Alice's.")).await, 202);
    assert_eq!(event(&mut of_alice).await["result"]["structuredContent"]["summary"], "Alice's.");
}

/// The twin: whoever made the call may end it.
#[tokio::test]
async fn s14_the_caller_cancels_its_own_call() {
    let two = Two::meet().await;
    let (mut of_alice, question) = two.asks(&two.alice).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    assert_eq!(two.sends(&two.alice.0, &two.alice.1, &cancel).await, 202);
    while of_alice.chunk().await.expect("no broken stream").is_some() {}
    assert_eq!(two.sends(&two.alice.0, &two.alice.1, &answer(&question, "Too late.")).await, 202);
}
