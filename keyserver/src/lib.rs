//! Names, manifests nobody can forge, prekeys handed out exactly once.
