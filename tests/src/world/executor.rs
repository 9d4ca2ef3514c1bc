//! Drives futures on one thread, in the order in which they were spawned, until none can go on.
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

/// Futures that are not through.
#[derive(Default)]
pub(super) struct Tasks {
    tasks: Vec<Task>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    flag: Arc<Flag>,
}

/// Set by whoever a future waits for.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Tasks {
    pub(super) fn spawn(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(Task { future: Box::pin(future), flag: Arc::new(Flag(AtomicBool::new(true))) });
    }

    /// Until nothing moves.
    pub(super) fn run(&mut self) {
        loop {
            let mut moved = false;
            self.tasks.retain_mut(|task| {
                if !task.flag.0.swap(false, Ordering::Relaxed) {
                    return true;
                }
                moved = true;
                let waker = Waker::from(Arc::clone(&task.flag));
                task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            });
            if !moved {
                return;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.tasks.clear();
    }
}
