//! The binary; what it does is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    waxwing::run(std::env::args_os())
}
