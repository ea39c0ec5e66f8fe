//! Where a reading command looks: a directory, or a server.

use std::path::PathBuf;

/// Where a server listens for HTTP unless told otherwise.
pub(crate) const HTTP_DEFAULT: &str = "127.0.0.1:7070";
/// Where a server listens for its own protocol unless told otherwise.
pub(crate) const TCP_DEFAULT: &str = "127.0.0.1:7071";

/// `--data DIR` or `--url URL`; neither: the server at the default address.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct Target {
    /// Read this store's directory; no server may be writing it.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Ask this server.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}
