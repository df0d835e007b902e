//! Load from threads with one keep-alive connection each.
//!
//! In the closed loop a connection sends its next request after the previous response, which finds the maximum
//! throughput. In the open loop requests follow a fixed schedule, and latency counts from the scheduled time, so that
//! a stall shows in every request that it delays and not in one per connection.

use crate::Outcome;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long one response may take.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// More than the requests in flight at the rates used here.
const OPEN_LOOP_CONNECTIONS: usize = 96;
const ANSWER_BYTES: usize = 16 * 1024;

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Arrivals {
    Closed { connections: usize },
    Open { per_second: f64 },
}

impl Arrivals {
    fn connections(self) -> usize {
        match self {
            Self::Closed { connections } => connections,
            Self::Open { .. } => OPEN_LOOP_CONNECTIONS,
        }
    }

    fn due(self, start: Instant, number: usize) -> Option<Instant> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { per_second } => Some(start + Duration::from_secs_f64(number as f64 / per_second)),
        }
    }
}

/// The outcome of one measurement.
pub struct Load {
    pub took: Duration,
    /// Number of 503 responses: the broker is overloaded and says so.
    pub unavailable: usize,
    /// Latencies of the others, sorted, in microseconds.
    latencies_us: Vec<u64>,
}

impl Load {
    pub fn count(&self) -> usize {
        self.latencies_us.len()
    }

    pub fn per_second(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// The latency that `share` of the requests did not exceed, in milliseconds.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let at = (self.count() as f64 * share).ceil() as usize;
        let latency = self.latencies_us.get(at.saturating_sub(1));
        latency.map_or(f64::NAN, |us| *us as f64 / 1000.0)
    }
}

/// Sends `requests` in order until `lasting` has passed or none is left.
pub fn run(address: &str, requests: &[Vec<u8>], arrivals: Arrivals, lasting: Duration) -> Outcome<Load> {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let answers = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arrivals.connections())
            .map(|_| scope.spawn(|| worker(address, requests, arrivals, start, lasting, &next)))
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| "a load thread panicked")??);
        }
        Ok::<_, crate::Error>(all)
    });
    let took = start.elapsed();
    let answers = answers?;
    let mut latencies_us: Vec<_> = answers.iter().filter_map(|answer| *answer).collect();
    latencies_us.sort_unstable();
    let unavailable = answers.len() - latencies_us.len();
    if latencies_us.is_empty() {
        return Err("the broker answered no request with 200".into());
    }
    Ok(Load { took, unavailable, latencies_us })
}

/// Microseconds of each response, in no particular order; none for a 503.
fn worker(
    address: &str,
    requests: &[Vec<u8>],
    arrivals: Arrivals,
    start: Instant,
    lasting: Duration,
    next: &AtomicUsize,
) -> Outcome<Vec<Option<u64>>> {
    let mut connection = Connection::open(address)?;
    let mut answers = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = arrivals.due(start, number);
        let over = due.unwrap_or_else(Instant::now) >= start + lasting;
        let Some(request) = requests.get(number).filter(|_| !over) else {
            return Ok(answers);
        };
        if let Some(due) = due {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let sent = due.unwrap_or_else(Instant::now);
        let served = connection.send(request)?;
        answers.push(served.then(|| sent.elapsed().as_micros() as u64));
    }
}

/// Sends `requests` repeatedly, whatever the responses are; returns their number.
pub fn flood(address: &str, requests: &[Vec<u8>], stop: &AtomicBool) -> Outcome<usize> {
    let mut connection = Connection::open(address)?;
    let mut sent = 0;
    for request in requests.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        connection.exchange(request)?;
        sent += 1;
    }
    Ok(sent)
}

/// One HTTP/1.1 keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self { stream, buffer: vec![0; ANSWER_BYTES] })
    }

    /// Sends a request and returns whether the response is 200; fails unless it is 200 or 503.
    pub fn send(&mut self, request: &[u8]) -> Outcome<bool> {
        let answer = self.exchange(request)?;
        match answer.get(..13) {
            Some(b"HTTP/1.1 200 ") => Ok(true),
            Some(b"HTTP/1.1 503 ") => Ok(false),
            _ => Err(format!("unexpected response: {}", String::from_utf8_lossy(answer)).into()),
        }
    }

    /// Sends a request and reads the complete response.
    fn exchange(&mut self, request: &[u8]) -> Outcome<&[u8]> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        let mut whole = None;
        while whole.is_none_or(|whole| filled < whole) {
            let free = self.buffer.get_mut(filled..).ok_or("response too long")?;
            match self.stream.read(free)? {
                0 => return Err("the broker closed a connection".into()),
                read => filled += read,
            }
            whole = whole.or_else(|| answer_bytes(self.buffer.get(..filled)?));
        }
        Ok(self.buffer.get(..filled).unwrap_or_default())
    }
}

/// Length of the response that starts here, once its head is complete.
fn answer_bytes(begun: &[u8]) -> Option<usize> {
    let head_bytes = begun.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(begun.get(..head_bytes)?).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some(head_bytes + length.unwrap_or(0))
}
