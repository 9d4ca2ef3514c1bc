//! Clients with their stores and their drivers, over real connections to real servers in this process.
mod person;
mod talking;
