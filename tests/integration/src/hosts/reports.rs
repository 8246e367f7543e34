//! What a host's init and holder report, collected by a thread of its own.

use crate::wait::DEADLINE;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How an order began.
pub(super) type Began = Result<i32, String>;

/// All so far.
#[derive(Default)]
pub(super) struct State {
    /// Init's process id, as the machine has it.
    pub(super) init: Option<i32>,
    /// Its control groups: directory and controllers.
    pub(super) groups: Vec<(String, String)>,
    /// Whether it is ready, or why not.
    pub(super) ready: Option<Result<(), String>>,
    /// By order: its process id inside, or why there is none.
    pub(super) began: BTreeMap<u64, Began>,
    /// By order: its status as a shell has it.
    pub(super) ended: BTreeMap<u64, i32>,
    /// The host is off.
    pub(super) is_off: bool,
}

/// Shared by a host and what runs in it.
#[derive(Clone, Default)]
pub(super) struct Reports {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Reports {
    /// Of this socket, until its end.
    pub(super) fn collect(socket: UnixStream) -> Self {
        let reports = Self::default();
        let own = reports.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(socket).lines().map_while(Result::ok) {
                let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
                own.change(|state| state.on(&value));
            }
            own.change(|state| state.is_off = true);
        });
        reports
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
    }

    /// Looks at what there is.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.0.lock().unwrap())
    }

    /// Waits until `look` finds something; none at the deadline.
    pub(super) fn until<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> Option<T> {
        self.within(DEADLINE, &mut look)
    }

    /// As [`Reports::until`], with a limit of its own.
    pub(super) fn within<T>(&self, limit: Duration, mut look: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let start = Instant::now();
        let mut state = self.shared.0.lock().unwrap();
        loop {
            if let Some(found) = look(&state) {
                return Some(found);
            }
            let left = limit.checked_sub(start.elapsed())?;
            state = self.shared.1.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl State {
    fn on(&mut self, value: &Value) {
        let string = |value: &Value| value.as_str().unwrap().to_owned();
        if let Some(pid) = value["init"].as_i64() {
            self.init = Some(pid as i32);
            let groups = value["groups"].as_array().unwrap();
            self.groups = groups.iter().map(|group| (string(&group[0]), string(&group[1]))).collect();
        } else if value["ready"] == true {
            self.ready = Some(Ok(()));
        } else if value["failed"].is_string() {
            self.ready = Some(Err(string(&value["failed"])));
        } else if let Some(number) = value["run"].as_u64() {
            let began = value["pid"].as_i64().map(|pid| pid as i32);
            self.began.insert(number, began.ok_or_else(|| string(&value["error"])));
        } else if let Some(number) = value["ended"].as_u64() {
            self.ended.insert(number, value["code"].as_i64().unwrap() as i32);
        }
    }
}
