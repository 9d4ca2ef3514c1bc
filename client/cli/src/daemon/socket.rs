//! The daemon's socket. Implements spec/22-client-api.md §22.1 (F6).
use std::{io, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::BufReader,
    net::{UnixListener, UnixStream},
    sync::Notify,
    task::JoinSet,
};
use waxwing_client::Client;

use super::{SOCKET, converse};
use crate::{
    api::{ApiError, Code},
    profile::{is_ours_alone, own_user, system},
    service::Service,
};

/// Answers at the profile's socket until it is told to stop, by a client or by `stop`. `listening` is told when it answers.
///
/// # Errors
/// If there can be no socket.
pub async fn serve(
    client: Client,
    folder: &Path,
    stop: impl Future<Output = ()>,
    listening: impl FnOnce(),
) -> Result<(), ApiError> {
    is_ours_alone(folder)?;
    let path = folder.join(SOCKET);
    let listener = bind(&path)?;
    let user = own_user()?;
    let asked = Arc::new(Notify::new());
    let service = Service::of_daemon(client, folder.to_owned(), Arc::clone(&asked));
    let mut clients = JoinSet::new();
    listening();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = asked.notified() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if clients.len() < MOST_CLIENTS => {
                    let service = service.clone();
                    clients.spawn(async move { answer(stream, user, &service).await });
                }
                // Dropped: it finds the connection closed.
                Ok(_) => tracing::warn!("too many clients at once"),
                Err(error) => {
                    tracing::error!(%error, "the socket fails");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
    // Its name would only be in the way of the next one; answers that are on their way get a moment.
    let _ = std::fs::remove_file(&path);
    let _ = tokio::time::timeout(GOODBYE, async { while clients.join_next().await.is_some() {} }).await;
    Ok(())
}

/// The profile's lock says that a socket that is there is nobody's.
fn bind(path: &Path) -> Result<UnixListener, ApiError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(system(path, &error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => {
            ApiError::new(Code::System, "the profile's path is too long for a socket (107 bytes): use a shorter one")
        }
        _ => system(path, &error),
    })?;
    // The folder lets nobody in before that is done.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|error| system(path, &error))?;
    Ok(listener)
}

async fn answer(stream: UnixStream, user: u32, service: &Service) {
    // The mode says so already, on systems that look at it.
    if !stream.peer_cred().is_ok_and(|peer| peer.uid() == user) {
        tracing::warn!("somebody else opened the socket");
        return;
    }
    let (input, output) = stream.into_split();
    // A client that went away gets no answer.
    let _ = converse(service, BufReader::new(input), output).await;
}

const MOST_CLIENTS: usize = 64;
const GOODBYE: Duration = Duration::from_millis(200);
