//! FLOWS, as they travel: which lane, which size, how often, over which connection (spec §20.3).
