//! Which path does what: rows of version, path, and the act of each method.

use super::answer::Version::{self, V1, V2, V3};
use super::api::{beat, cluster, health, instance, list, operator, service};
use super::call::Act;
use super::fault::Fault;

/// One path.
struct Row {
    version: Version,
    path: &'static str,
    methods: &'static [&'static str],
    acts: &'static [Act],
}

/// Finds the act of a method on a path.
pub fn find(path: &str, method: &str) -> (Version, Result<Act, Fault>) {
    let Some(row) = ROWS.iter().find(|row| row.path == path) else {
        return (version_of(path), Err(Fault::NoPath));
    };
    let at = row.methods.iter().position(|known| *known == method);
    let act = at.map(|at| row.acts[at]).ok_or(Fault::Method(row.methods));
    (row.version, act)
}

/// All paths with their methods.
pub fn paths() -> impl Iterator<Item = (Version, &'static str, &'static [&'static str])> {
    ROWS.iter().map(|row| (row.version, row.path, row.methods))
}

fn version_of(path: &str) -> Version {
    match path.split('/').next() {
        Some("v1") => V1,
        Some("v2") => V2,
        _ => V3,
    }
}

const fn row(
    version: Version,
    path: &'static str,
    methods: &'static [&'static str],
    acts: &'static [Act],
) -> Row {
    Row { version, path, methods, acts }
}

const ROWS: &[Row] = &[
    row(V1, "v1/ns/instance/beat", &["PUT"], &[beat::beat]),
    row(V1, "v1/ns/instance/list", &["GET"], &[list::list]),
    row(V1, "v1/ns/instance", CRUD_PATCH, INSTANCE_PATCH),
    row(V1, "v1/ns/instance/statuses", &["GET"], &[list::statuses]),
    row(V1, "v1/ns/health/instance", &["PUT"], &[health::set]),
    row(V1, "v1/ns/health", &["PUT"], &[health::set]),
    row(V1, "v1/ns/health/checkers", &["GET"], &[health::checkers]),
    row(V1, "v1/ns/health/server", &["GET"], &[health::server]),
    row(V1, "v1/ns/cluster", &["PUT"], &[cluster::update]),
    row(V1, "v1/ns/service", CRUD, SERVICE),
    row(V1, "v1/ns/service/list", &["GET"], &[service::list]),
    row(V1, "v1/ns/operator/metrics", &["GET"], &[operator::metrics]),
    row(V1, "v1/console/health/liveness", &["GET"], &[operator::ready]),
    row(V1, "v1/console/health/readiness", &["GET"], &[operator::ready]),
    row(V2, "v2/ns/instance", CRUD_PATCH, INSTANCE_PATCH),
    row(V2, "v2/ns/instance/list", &["GET"], &[list::list]),
    row(V2, "v2/ns/health/instance", &["PUT"], &[health::set]),
    row(V2, "v2/ns/health", &["PUT"], &[health::set]),
    row(V2, "v2/ns/service", CRUD, SERVICE),
    row(V2, "v2/ns/service/list", &["GET"], &[service::list]),
    row(V2, "v2/ns/operator/metrics", &["GET"], &[operator::metrics]),
    row(V3, "v3/admin/ns/instance", CRUD, INSTANCE),
    row(V3, "v3/admin/ns/instance/partial", &["PUT"], &[instance::patch]),
    row(V3, "v3/admin/ns/instance/list", &["GET"], &[list::list]),
    row(V3, "v3/admin/ns/health/instance", &["PUT"], &[health::set]),
    row(V3, "v3/admin/ns/health/checkers", &["GET"], &[health::checkers]),
    row(V3, "v3/admin/ns/cluster", &["PUT"], &[cluster::update]),
    row(V3, "v3/admin/ns/service", CRUD, SERVICE),
    row(V3, "v3/admin/ns/service/list", &["GET"], &[service::list]),
    row(V3, "v3/admin/ns/ops/metrics", &["GET"], &[operator::metrics]),
    row(V3, "v3/client/ns/instance", CRUD, INSTANCE),
    row(V3, "v3/client/ns/instance/list", &["GET"], &[list::list]),
];

const CRUD: &[&str] = &["POST", "PUT", "DELETE", "GET"];
const CRUD_PATCH: &[&str] = &["POST", "PUT", "DELETE", "GET", "PATCH"];
const INSTANCE: &[Act] =
    &[instance::register, instance::update, instance::deregister, instance::detail];
const INSTANCE_PATCH: &[Act] = &[
    instance::register,
    instance::update,
    instance::deregister,
    instance::detail,
    instance::patch,
];
const SERVICE: &[Act] = &[service::create, service::update, service::remove, service::detail];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_act() {
        for row in ROWS {
            assert_eq!(row.methods.len(), row.acts.len(), "{}", row.path);
            assert_eq!(version_of(row.path), row.version, "{}", row.path);
        }
    }

    #[test]
    fn wrong_method_and_wrong_path() {
        assert!(matches!(find("v2/ns/health/instance", "GET"), (V2, Err(Fault::Method(_)))));
        assert!(matches!(find("v3/ns/health/instance", "PUT"), (V3, Err(Fault::NoPath))));
        assert!(find("v1/ns/instance", "PATCH").1.is_ok());
    }
}
