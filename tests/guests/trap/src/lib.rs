//! A guest that misbehaves on request: `/trap` panics, `/spin` computes for ever, `/slow` waits for a second;
//! `/headers` shows the request's headers, `/count` the number of requests to this instance, `/files` the number of
//! files it sees, `/now` both of its clocks, `/variable/<name>` a variable.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "guests for tests may trap"
)]

#[cfg(target_arch = "wasm32")]
mod guest {
    use spin_sdk::http::{IntoResponse, Request, Response};
    use spin_sdk::http_service;
    use std::cell::Cell;
    use std::time::Duration;

    thread_local! {
        static ASKED: Cell<u64> = const { Cell::new(0) };
    }

    #[http_service]
    async fn handle(request: Request) -> impl IntoResponse {
        ASKED.set(ASKED.get() + 1);
        let text = match request.uri().path() {
            "/trap" => panic!("asked to"),
            "/spin" => spin(),
            "/slow" => {
                spin_sdk::time::sleep(Duration::from_secs(1)).await;
                "slow\n".to_owned()
            }
            "/headers" => headers(&request),
            "/count" => format!("{}\n", ASKED.get()),
            "/files" => format!("{:?}\n", std::fs::read_dir("/policies").map(Iterator::count).ok()),
            "/now" => now(),
            path => match path.strip_prefix("/variable/") {
                Some(name) => format!("{:?}\n", spin_sdk::variables::get(name).await.ok()),
                None => "ok\n".to_owned(),
            },
        };
        let length = text.len().to_string();
        Response::builder().header("content-length", length).body(text)
    }

    /// Unix seconds from WASI 0.2, which std uses, and from WASI 0.3.
    fn now() -> String {
        let old = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let new = spin_sdk::wasip3::clocks::system_clock::now();
        format!("{} {}\n", old.map_or(0, |now| now.as_secs()), new.seconds)
    }

    fn spin() -> String {
        let mut number = 1_u64;
        while std::hint::black_box(number) != 0 {
            number = number.wrapping_mul(3) | 1;
        }
        String::new()
    }

    fn headers(request: &Request) -> String {
        let mut text = format!("{}\n", request.uri());
        for (name, value) in request.headers() {
            text.push_str(&format!("{name}: {}\n", value.to_str().unwrap_or("?")));
        }
        text
    }
}
