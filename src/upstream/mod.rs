//! Groups, peers, picking, reports about peers.
