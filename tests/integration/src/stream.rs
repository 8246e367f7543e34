//! What a process has written so far, readable while it still writes.

use crate::wait::DEADLINE;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

/// One stream, collected by a thread of its own.
#[derive(Clone, Default)]
pub struct Stream {
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Stream {
    /// One that has ended, without a byte.
    #[must_use]
    pub fn none() -> Self {
        let stream = Self::default();
        stream.state.0.lock().unwrap().ended = true;
        stream
    }

    /// Collects from `source` until its end.
    #[must_use]
    pub fn collect(mut source: impl Read + Send + 'static) -> Self {
        let stream = Self::default();
        let shared = stream.clone();
        std::thread::spawn(move || {
            let mut piece = vec![0; 1 << 16];
            loop {
                let count = match source.read(&mut piece) {
                    Ok(count) => count,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => 0, // A pseudo-terminal ends with an error.
                };
                let (state, changed) = &*shared.state;
                let mut state = state.lock().unwrap();
                state.bytes.extend_from_slice(&piece[..count]);
                state.ended = count == 0;
                changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        stream
    }

    /// All so far.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.state.0.lock().unwrap().bytes.clone()
    }

    /// All so far, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.state.0.lock().unwrap().bytes).into_owned()
    }

    /// Waits until `look` finds something in what was written; none at the deadline or when the stream has ended without it.
    pub fn until<T>(&self, mut look: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let start = Instant::now();
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        loop {
            if let Some(found) = look(&state.bytes) {
                return Some(found);
            }
            let left = DEADLINE.checked_sub(start.elapsed())?;
            if state.ended {
                return None;
            }
            state = changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for a whole line that holds `part`.
    pub fn line(&self, part: &str) -> Option<String> {
        self.until(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let whole = text.split_inclusive(['\n', '\r']).filter(|line| line.ends_with(['\n', '\r']));
            whole.map(|line| line.trim_end()).find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    /// Waits for the end of the stream; whether it came.
    pub fn ended(&self) -> bool {
        let start = Instant::now();
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        while !state.ended {
            let Some(left) = DEADLINE.checked_sub(start.elapsed()) else { return false };
            state = changed.wait_timeout(state, left).unwrap().0;
        }
        true
    }
}
