//! Timers that wake a sleeping process once, when they are due. Implements spec/18-transport.md §18.4.2.
//!
//! tokio keeps timers in wheels of 64 slots: one that is seconds away wakes the process up to three times on its way to the innermost
//! wheel, and one that was put off still wakes it when it was due before. A client that does nothing does little else. So the system
//! keeps the time where it can (Linux: a timerfd), and tokio where it cannot.
//! Invariant: an alarm never rings before it is due; without a timer of the system it is as late, and only wakes more often.
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep_until};

use self::system::Timer;

/// Rings once it is due.
#[derive(Debug)]
pub struct Alarm {
    due: Instant,
    keeper: Keeper,
}

/// Who keeps the time.
#[derive(Debug)]
enum Keeper {
    /// And what it is set to.
    System(Timer, Option<Instant>),
    Tokio(Pin<Box<Sleep>>),
}

impl Alarm {
    /// An alarm.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(due: Instant) -> Self {
        Self::kept_by(Timer::new(), due)
    }

    /// One that rings by tokio's time, which tests pause.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn of_the_runtime(due: Instant) -> Self {
        Self::kept_by(None, due)
    }

    fn kept_by(timer: Option<Timer>, due: Instant) -> Self {
        let keeper = match timer {
            Some(timer) => Keeper::System(timer, None),
            None => Keeper::Tokio(Box::pin(sleep_until(due.into()))),
        };
        Self { due, keeper }
    }

    /// Another time, sooner or later; whoever waits asks again.
    pub fn set(&mut self, due: Instant) {
        self.due = due;
    }

    /// Waits until it is due. Cancel-safe.
    pub async fn ring(&mut self) {
        std::future::poll_fn(|context| self.poll_ring(context)).await;
    }

    fn poll_ring(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Self { due, keeper } = self;
        loop {
            // The system's, unless a test has paused it.
            let left = due.saturating_duration_since(tokio::time::Instant::now().into_std());
            if left.is_zero() {
                return Poll::Ready(());
            }
            match keeper {
                Keeper::System(timer, set) => {
                    // What is put off by a little again and again, as in a conversation, is set anew when it rings.
                    if !set.is_some_and(|set| set == *due || set < *due && left < LITTLE) {
                        timer.arm(left);
                        *set = Some(*due);
                    }
                    ready!(timer.poll_rung(context));
                    *set = None;
                }
                Keeper::Tokio(sleep) => {
                    if sleep.deadline() != (*due).into() {
                        sleep.as_mut().reset((*due).into());
                    }
                    ready!(sleep.as_mut().poll(context));
                }
            }
        }
    }
}

impl quinn::AsyncTimer for Alarm {
    fn reset(self: Pin<&mut Self>, due: Instant) {
        self.get_mut().set(due);
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.get_mut().poll_ring(context)
    }
}

/// Who is asleep for longer is not to be woken for nothing.
const LITTLE: Duration = Duration::from_secs(1);

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod system {
    //! A timerfd.
    use std::{
        task::{Context, Poll, ready},
        time::Duration,
    };

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    /// One timer of the system. It is waited for and read as a pipe is, which is tokio's safe way to any descriptor.
    #[derive(Debug)]
    pub(crate) struct Timer(Receiver);

    impl Timer {
        /// None: the system has no more of them.
        pub(crate) fn new() -> Option<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok()?;
            Receiver::from_owned_fd_unchecked(timer).ok().map(Self)
        }

        /// Rings after `left`, and not when it was to ring before.
        pub(crate) fn arm(&self, left: Duration) {
            // Zero would disarm it.
            let left = left.max(Duration::from_nanos(1));
            let value =
                Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            // It fails for values out of range only.
            let _ = timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once);
        }

        pub(crate) fn poll_rung(&self, context: &mut Context<'_>) -> Poll<()> {
            loop {
                let Ok(()) = ready!(self.0.poll_read_ready(context)) else { return Poll::Pending };
                if self.has_rung() {
                    return Poll::Ready(());
                }
            }
        }

        /// As [`Self::poll_rung`], for several who wait: one of them takes it.
        pub(crate) async fn rung(&self) {
            loop {
                let Ok(()) = self.0.readable().await else { return std::future::pending().await };
                if self.has_rung() {
                    return;
                }
            }
        }

        /// How often it rang is read, and with that forgotten.
        fn has_rung(&self) -> bool {
            self.0.try_read(&mut [0; 8]).is_ok()
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) mod system {
    //! None.
    use std::{
        convert::Infallible,
        task::{Context, Poll},
        time::Duration,
    };

    /// There is none.
    #[derive(Debug)]
    pub(crate) struct Timer(Infallible);

    impl Timer {
        pub(crate) fn new() -> Option<Self> {
            None
        }

        pub(crate) fn arm(&self, _: Duration) {
            match self.0 {}
        }

        pub(crate) fn poll_rung(&self, _: &mut Context<'_>) -> Poll<()> {
            match self.0 {}
        }

        pub(crate) async fn rung(&self) {
            match self.0 {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1_200);

    fn later(left: Duration) -> Instant {
        Instant::now().checked_add(left).unwrap()
    }

    #[tokio::test]
    async fn it_rings_when_it_is_due_near_or_far_and_not_before() {
        for left in [Duration::ZERO, Duration::from_millis(20), MOMENT] {
            let begun = Instant::now();
            let mut alarm = Alarm::new(begun + left);
            alarm.ring().await;
            assert!(begun.elapsed() >= left);
            // What was heard is heard again.
            alarm.ring().await;
        }
    }

    #[tokio::test]
    async fn it_can_be_put_off_and_brought_forward_while_somebody_waits() {
        let begun = Instant::now();
        let mut alarm = Alarm::new(later(Duration::from_millis(1_050)));
        assert!(tokio::time::timeout(Duration::from_millis(10), alarm.ring()).await.is_err());
        alarm.set(begun + 2 * MOMENT);
        alarm.ring().await;
        assert!(begun.elapsed() >= 2 * MOMENT, "put off");
        let mut alarm = Alarm::new(later(Duration::from_secs(3_600)));
        for due in [Duration::from_secs(60), Duration::from_millis(1)] {
            assert!(tokio::time::timeout(Duration::from_millis(1), alarm.ring()).await.is_err());
            alarm.set(later(due));
        }
        let begun = Instant::now();
        // A look at the clock would find it due: what counts is that it rings.
        let _ = tokio::time::timeout(10 * MOMENT, alarm.ring()).await;
        assert!(begun.elapsed() < 9 * MOMENT, "brought forward");
    }

    #[tokio::test]
    async fn without_a_timer_of_the_system_it_rings_as_well() {
        let begun = Instant::now();
        let mut alarm = Alarm::of_the_runtime(begun + MOMENT);
        alarm.ring().await;
        assert!(begun.elapsed() >= MOMENT);
    }
}
