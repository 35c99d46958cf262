//! Long work on a thread of its own, while Python waits, shows progress and listens for Ctrl-C.
//!
//! The crate cannot be stopped at any moment. After Ctrl-C the caller gets its prompt back at once, and the work ends by
//! itself the next time that it reports progress; until then it runs on in the background, and its result is dropped.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

use pyo3::{exceptions::PyRuntimeError, prelude::*};

use crate::errors::OrRaise;

/// How often Python is asked for signals.
const TICK: Duration = Duration::from_millis(50);
/// Proofs recurse over the tree of a network.
const STACK: usize = 64 << 20;

/// What the work says about itself.
#[derive(Default)]
pub struct Progress {
    done: AtomicUsize,
    cancelled: AtomicBool,
}

/// The payload of the unwinding that ends work that nobody waits for.
struct Cancelled;

impl Progress {
    /// Adds to what is done. Unwinds if nobody waits any more.
    pub fn add(&self, count: usize) {
        self.done.fetch_add(count, Ordering::Relaxed);
        if self.cancelled.load(Ordering::Relaxed) {
            resume_unwind(Box::new(Cancelled));
        }
    }
}

/// Runs `work` without the GIL. `report`, if it is given, is called from time to time with how much is done.
///
/// # Errors
/// What `work` refuses; `KeyboardInterrupt`, or whatever else a handler of signals or `report` raises.
pub fn run<T: Send + 'static>(
    py: Python<'_>,
    report: Option<Bound<'_, PyAny>>,
    work: impl FnOnce(&Progress) -> dahlquist::Result<T> + Send + 'static,
) -> PyResult<T> {
    let progress = Arc::new(Progress::default());
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    let shared = Arc::clone(&progress);
    let job = move || {
        // Nothing that the work shares is looked at after it has unwound, and nobody may be there to hear.
        let _ = sender.send(catch_unwind(AssertUnwindSafe(|| work(&shared))));
    };
    std::thread::Builder::new().name("dahlquist".into()).stack_size(STACK).spawn(job)?;
    let tell = |report: &Option<Bound<'_, PyAny>>| -> PyResult<()> {
        py.check_signals()?;
        report.as_ref().map_or(Ok(()), |report| report.call1((progress.done.load(Ordering::Relaxed),)).map(|_| ()))
    };
    loop {
        let next = py.detach(|| receiver.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK));
        match next {
            Ok(Ok(result)) => {
                tell(&report)?;
                return result.or_raise();
            }
            Ok(Err(payload)) => {
                let text = payload.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
                return Err(PyRuntimeError::new_err(format!("a fault of dahlquist, please report it: {text}")));
            }
            Err(RecvTimeoutError::Timeout) => tell(&report).inspect_err(|_| {
                progress.cancelled.store(true, Ordering::Relaxed);
            })?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("the thread that computes has ended without a result"));
            }
        }
    }
}
