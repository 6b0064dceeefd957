//! A bound on the bytes that wait between two stages.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Lets through at most `capacity` bytes at a time; one thing that is larger than that passes
/// alone.
#[derive(Clone)]
pub(crate) struct ByteGate(Arc<Gate>);

struct Gate {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    held: usize,
    closed: bool,
}

/// The right to hold some bytes; given back when dropped.
pub(crate) struct Permit {
    gate: ByteGate,
    bytes: usize,
}

impl ByteGate {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = Mutex::new(State { held: 0, closed: false });
        Self(Arc::new(Gate { capacity, state, changed: Condvar::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and a count stays a count.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `bytes` fit; `None` once the gate is closed.
    pub(crate) fn enter(&self, bytes: usize) -> Option<Permit> {
        let mut state = self.lock();
        while !state.closed && state.held > 0 && state.held.saturating_add(bytes) > self.0.capacity
        {
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return None;
        }
        state.held += bytes;
        Some(Permit { gate: self.clone(), bytes })
    }

    /// Refuses everyone from now on, and wakes those who wait.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Permit {
    /// Gives back all but `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let back = self.bytes.saturating_sub(bytes);
        self.bytes -= back;
        self.gate.lock().held -= back;
        self.gate.0.changed.notify_all();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.lock().held -= self.bytes;
        self.gate.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_and_what_is_too_large_passes_alone() {
        let gate = ByteGate::new(10);
        let large = gate.enter(100).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.enter(1).is_some());
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waiting.is_finished());
            drop(large);
            assert!(waiting.join().unwrap());
        });
        // A shrunk permit gives its bytes back at once, and the rest when it is dropped: not a byte
        // more or less.
        let mut shrunk = gate.enter(10).unwrap();
        shrunk.shrink(4);
        assert_eq!(gate.lock().held, 4);
        shrunk.shrink(9);
        assert_eq!(gate.lock().held, 4, "a permit never grows");
        let beside = gate.enter(6).unwrap();
        assert_eq!(gate.lock().held, 10);
        drop((shrunk, beside));
        assert_eq!(gate.lock().held, 0);
        let _held = gate.enter(10).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.enter(1).is_none());
            std::thread::sleep(std::time::Duration::from_millis(20));
            gate.close();
            assert!(waiting.join().unwrap());
        });
    }
}
