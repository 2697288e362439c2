//! What a service is called: namespace, group and name.

use std::fmt;

/// The name of one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    pub namespace: String,
    pub group: String,
    pub name: String,
}

impl ServiceKey {
    /// `group@@name`, or a bare name in `group`.
    pub fn new(namespace: &str, group: &str, name: &str) -> Self {
        let (group, name) = name.split_once(SEPARATOR).unwrap_or((group, name));
        Self { namespace: namespace.into(), group: group.into(), name: name.into() }
    }

    /// `DEFAULT_GROUP@@orders`, as answers name a service.
    pub fn grouped(&self) -> String {
        format!("{}{SEPARATOR}{}", self.group, self.name)
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{SEPARATOR}{}", self.namespace, self.group, self.name)
    }
}

/// Stands between group and name.
const SEPARATOR: &str = "@@";

pub const DEFAULT_GROUP: &str = "DEFAULT_GROUP";
pub const DEFAULT_NAMESPACE: &str = "public";
pub const DEFAULT_CLUSTER: &str = "DEFAULT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_in_the_name_wins() {
        let key = ServiceKey::new("public", "A", "B@@c");
        assert_eq!((key.group.as_str(), key.name.as_str()), ("B", "c"));
        assert_eq!(ServiceKey::new("public", "A", "c").grouped(), "A@@c");
    }
}
