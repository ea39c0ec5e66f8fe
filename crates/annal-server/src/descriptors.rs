//! File descriptors, of which each connection takes one and the store needs some: who comes in
//! takes them only as far as enough are left for what must go on.

use annal::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as it may be raised, and gives how many connections it allows.
pub(crate) fn for_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Some systems refuse values beyond a limit of their own: then the old one goes on holding.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let open_max = current.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    left_beside_reserve(open_max)
}

fn left_beside_reserve(open_max: usize) -> usize {
    let reserved = limits::DESCRIPTORS_RESERVED.min(open_max.div_ceil(2));
    (open_max - reserved).min(limits::CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_store_at_every_limit() {
        for (open_max, connections) in [
            (1, 0),
            (64, 32),
            (512, 256),
            (1_024, 768),
            (10_255, 9_999),
            (1 << 20, limits::CONNECTIONS_MAX),
            (usize::MAX, limits::CONNECTIONS_MAX),
        ] {
            assert_eq!(left_beside_reserve(open_max), connections, "{open_max}");
        }
    }
}
