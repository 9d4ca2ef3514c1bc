//! Clients in a simulated world: nothing is ever lost, doubled or out of order.
mod weather;
