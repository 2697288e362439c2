//! `vars` of a route: conditions on variables.
//!
//! ```text
//!  [["arg_name","==","json"], ["OR", ["arg_a",">","1"], ["http_x","!","~~","^a"]]]
//!       Rule                        Group of rules              negated Rule
//! ```

use std::net::IpAddr;

use bstr::{ByteSlice, ByteVec};
use bytes::Bytes;
use serde_json::Value;

use crate::base::regex::{Flags, Regex};
use crate::net::network::Network;

/// All rules of a list hold.
#[derive(Debug)]
pub struct Expr(Group);

impl Expr {
    pub fn parse(rules: &Value) -> Result<Self, String> {
        let Some(rules) = rules.as_array() else {
            return Ok(Self(Group { any: false, negated: false, terms: Vec::new() }));
        };
        // A list that begins with a word is a group by itself.
        if rules.first().is_some_and(Value::is_string) {
            return match Term::parse(&Value::Array(rules.clone()))? {
                Term::Group(group) => Ok(Self(group)),
                Term::Rule(_) => Err("rule should be wrapped inside brackets".into()),
            };
        }
        let terms = rules.iter().map(Term::parse).collect::<Result<_, _>>()?;
        Ok(Self(Group { any: false, negated: false, terms }))
    }

    /// Whether the variables that `read` knows fulfil it.
    pub fn holds(&self, read: &dyn Fn(&str) -> Option<Bytes>) -> bool {
        self.0.holds(read)
    }
}

#[derive(Debug)]
struct Group {
    any: bool,
    negated: bool,
    terms: Vec<Term>,
}

impl Group {
    fn holds(&self, read: &dyn Fn(&str) -> Option<Bytes>) -> bool {
        let mut terms = self.terms.iter();
        let holds = match self.any {
            true => terms.any(|term| term.holds(read)),
            false => terms.all(|term| term.holds(read)),
        };
        holds != self.negated
    }
}

#[derive(Debug)]
enum Term {
    Group(Group),
    Rule(Rule),
}

impl Term {
    fn parse(term: &Value) -> Result<Self, String> {
        let words = term.as_array().ok_or("rule should be wrapped inside brackets")?;
        let first = words.first().and_then(Value::as_str).ok_or("invalid expression")?;
        let group = match first {
            "OR" => Some((true, false)),
            "AND" => Some((false, false)),
            "!OR" => Some((true, true)),
            "!AND" => Some((false, true)),
            _ => None,
        };
        if let Some((any, negated)) = group {
            if words.len() <= 2 {
                return Err("rule too short".into());
            }
            let terms = words[1..].iter().map(Self::parse).collect::<Result<_, _>>()?;
            return Ok(Self::Group(Group { any, negated, terms }));
        }
        Rule::parse(first, &words[1..]).map(Self::Rule)
    }

    fn holds(&self, read: &dyn Fn(&str) -> Option<Bytes>) -> bool {
        match self {
            Self::Group(group) => group.holds(read),
            Self::Rule(rule) => rule.holds(read),
        }
    }
}

#[derive(Debug)]
struct Rule {
    variable: String,
    negated: bool,
    test: Test,
}

impl Rule {
    fn parse(variable: &str, words: &[Value]) -> Result<Self, String> {
        let words: Vec<&Value> = words.iter().collect();
        let (negated, operator, operand) = match words[..] {
            [not, operator, operand] if not == "!" => (true, operator, operand),
            [operator, operand] => (false, operator, operand),
            // A variable that is not there is compared with nothing.
            [operator] => (false, operator, &Value::Null),
            _ => return Err("rule too short".into()),
        };
        let operator = operator.as_str().ok_or("invalid operator")?;
        let test = Test::parse(operator, operand)?;
        Ok(Self { variable: variable.to_owned(), negated, test })
    }

    fn holds(&self, read: &dyn Fn(&str) -> Option<Bytes>) -> bool {
        self.test.holds(read(&self.variable)) != self.negated
    }
}

#[derive(Debug)]
enum Test {
    Equal(Option<Vec<u8>>),
    Unequal(Option<Vec<u8>>),
    Number(Compare, f64),
    Matches(Regex),
    In(Vec<Vec<u8>>),
    Address(Vec<Network>),
}

#[derive(Clone, Copy, Debug)]
enum Compare {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Test {
    fn parse(operator: &str, operand: &Value) -> Result<Self, String> {
        let number = |compare| {
            let value = match operand {
                Value::String(text) => text.parse().ok(),
                other => other.as_f64(),
            };
            value.map(|value| Self::Number(compare, value)).ok_or("bad number".to_owned())
        };
        let regex = |caseless| {
            let pattern = operand.as_str().ok_or("bad pattern")?;
            let compiled = Regex::compile(pattern.as_bytes(), Flags::nginx(caseless));
            compiled.map(Self::Matches).map_err(|error| error.to_string())
        };
        let list = || operand.as_array().ok_or(format!("bad operand of '{operator}'"));
        match operator {
            "==" => Ok(Self::Equal(text(operand))),
            "~=" => Ok(Self::Unequal(text(operand))),
            ">" => number(Compare::Greater),
            ">=" => number(Compare::GreaterOrEqual),
            "<" => number(Compare::Less),
            "<=" => number(Compare::LessOrEqual),
            "~~" => regex(false),
            "~*" => regex(true),
            "in" | "IN" => Ok(Self::In(list()?.iter().filter_map(text).collect())),
            // A variable is one text here: it has what it is equal to.
            "has" | "HAS" => Ok(Self::Equal(text(operand))),
            "ipmatch" => {
                let one = |item: &Value| {
                    let range = item.as_str().and_then(|text| Network::parse(text.into()));
                    range.ok_or(format!("invalid ip address: {item}"))
                };
                match operand {
                    Value::String(_) => Ok(Self::Address(vec![one(operand)?])),
                    _ => Ok(Self::Address(list()?.iter().map(one).collect::<Result<_, _>>()?)),
                }
            }
            _ => Err(format!("invalid operator '{operator}'")),
        }
    }

    fn holds(&self, value: Option<Bytes>) -> bool {
        let value = value.as_deref();
        match self {
            Self::Equal(wanted) => value == wanted.as_deref(),
            Self::Unequal(wanted) => value != wanted.as_deref(),
            Self::Number(compare, wanted) => {
                let Some(value) = value.and_then(number) else { return false };
                match compare {
                    Compare::Greater => value > *wanted,
                    Compare::GreaterOrEqual => value >= *wanted,
                    Compare::Less => value < *wanted,
                    Compare::LessOrEqual => value <= *wanted,
                }
            }
            Self::Matches(regex) => value.is_some_and(|v| regex.is_match(v).unwrap_or(false)),
            Self::In(list) => value.is_some_and(|v| list.iter().any(|item| item == v)),
            Self::Address(ranges) => {
                let ip = value.and_then(|v| v.to_str().ok()?.parse::<IpAddr>().ok());
                ip.is_some_and(|ip| ranges.iter().any(|range| range.contains(ip)))
            }
        }
    }
}

fn number(text: &[u8]) -> Option<f64> {
    text.to_str().ok()?.parse().ok()
}

fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => Some(Vec::from_slice(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(rules: &Value) -> bool {
        let read = |name: &str| match name {
            "arg_name" => Some(Bytes::from_static(b"json")),
            "arg_age" => Some(Bytes::from_static(b"18")),
            "remote_addr" => Some(Bytes::from_static(b"127.0.0.1")),
            _ => None,
        };
        Expr::parse(rules).unwrap().holds(&read)
    }

    #[test]
    fn rules_and_groups() {
        assert!(holds(&json!([])));
        assert!(holds(&json!([["arg_name", "==", "json"], ["arg_age", ">", 17]])));
        assert!(holds(&json!([["arg_age", "==", 18], ["arg_none", "~=", "x"]])));
        assert!(!holds(&json!([["arg_name", "==", "json"], ["arg_age", "<", "18"]])));
        assert!(holds(&json!([["arg_name", "~~", "^js"], ["arg_name", "!", "~~", "^x"]])));
        assert!(holds(&json!([["arg_name", "~*", "^JS"], ["arg_name", "in", ["a", "json"]]])));
        assert!(holds(&json!(["OR", ["arg_name", "==", "x"], ["arg_age", ">=", 18]])));
        assert!(!holds(&json!([["!OR", ["arg_name", "==", "x"], ["arg_age", ">=", 18]]])));
        assert!(holds(&json!([["remote_addr", "ipmatch", ["10.0.0.0/8", "127.0.0.0/8"]]])));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for rules in [json!(["x"]), json!([["a", "??", 1]]), json!([1]), json!([["OR", ["a"]]])] {
            assert!(Expr::parse(&rules).is_err(), "{rules}");
        }
    }
}
