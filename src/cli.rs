//! nginx's command line: flags in, an invocation out, with nginx's words for what is wrong.

use crate::process::signal::Action;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    pub help: bool,
    pub version: bool,
    /// `-V`
    pub build: bool,
    pub test: bool,
    /// `-T`
    pub dump: bool,
    pub quiet: bool,
    pub prefix: Option<String>,
    pub conf: Option<String>,
    pub error_log: Option<String>,
    pub globals: Option<String>,
    pub signal: Option<Action>,
    /// `--explain-health`
    pub explain_health: bool,
    /// `--check-now UPSTREAM`
    pub check_now: Option<String>,
}

impl Invocation {
    /// Reads the arguments that follow the program's name.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, UsageError> {
        let mut invocation = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match (arg.as_str(), arg.strip_prefix('-')) {
                // Words of our own; nginx has letters only.
                ("--explain-health", _) => {
                    (invocation.test, invocation.explain_health) = (true, true);
                }
                ("--check-now", _) => {
                    let upstream = args.next().ok_or(UsageError::NoUpstream)?;
                    invocation.check_now = Some(upstream);
                }
                (_, Some(letters)) => invocation.letters(letters, &mut args)?,
                (_, None) => return Err(UsageError::Invalid(arg)),
            }
        }
        Ok(invocation)
    }

    /// One word of flags: `-tq`, `-c file`, `-cfile`.
    fn letters(
        &mut self,
        letters: &str,
        args: &mut impl Iterator<Item = String>,
    ) -> Result<(), UsageError> {
        for (at, letter) in letters.char_indices() {
            match letter {
                '?' | 'h' => (self.version, self.help) = (true, true),
                'v' => self.version = true,
                'V' => (self.version, self.build) = (true, true),
                't' => self.test = true,
                'T' => (self.test, self.dump) = (true, true),
                'q' => self.quiet = true,
                'p' | 'e' | 'c' | 'g' | 's' => {
                    let rest = &letters[at + 1..];
                    let value = match rest.is_empty() {
                        true => args.next(),
                        false => Some(rest.to_string()),
                    };
                    return self.value(letter, value.ok_or(UsageError::Missing { letter })?);
                }
                _ => return Err(UsageError::Invalid(letter.to_string())),
            }
        }
        Ok(())
    }

    fn value(&mut self, letter: char, value: String) -> Result<(), UsageError> {
        match letter {
            'p' => self.prefix = Some(value),
            'e' => self.error_log = Some(value),
            'c' => self.conf = Some(value),
            'g' => self.globals = Some(value),
            _ => match Action::from_name(&value) {
                Some(action) => self.signal = Some(action),
                None => return Err(UsageError::Invalid(format!("-s {value}"))),
            },
        }
        Ok(())
    }
}

/// A command line nginx would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("invalid option: \"{0}\"")]
    Invalid(String),
    #[error("option \"-{letter}\" requires {}", wanted(*.letter))]
    Missing { letter: char },
    #[error("option \"--check-now\" requires the name of an upstream")]
    NoUpstream,
}

fn wanted(letter: char) -> &'static str {
    match letter {
        'p' => "directory name",
        'e' | 'c' => "file name",
        _ => "parameter",
    }
}

/// `-h`
pub const HELP: &str = "\
Usage: nginx [-?hvVtTq] [-s signal] [-p prefix]
             [-e filename] [-c filename] [-g directives]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a master process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: . if conf/nginx.conf is there, else PREFIX)
  -e filename   : set error log file (default: logs/error.log)
  -c filename   : set configuration file (default: conf/nginx.conf)
  -g directives : set global directives out of configuration file

  --explain-health     : test configuration and tell what its health checks do
  --check-now upstream : probe every peer of an upstream once and tell what was said
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, String> {
        let args = line.split_whitespace().map(str::to_string);
        Invocation::parse(args).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_and_values() {
        let i = parse("-tq -p /x -cconf/a.conf -g daemon -e stderr").unwrap();
        assert!(i.test && i.quiet && !i.dump);
        assert_eq!(i.prefix.as_deref(), Some("/x"));
        assert_eq!(i.conf.as_deref(), Some("conf/a.conf"));
        assert_eq!(i.globals.as_deref(), Some("daemon"));
        assert_eq!(parse("-s reload").unwrap().signal, Some(Action::Reload));
        assert!(parse("--explain-health").is_ok_and(|i| i.test && i.explain_health));
        assert_eq!(parse("--check-now a").unwrap().check_now.as_deref(), Some("a"));
    }

    #[test]
    fn nginx_words_for_mistakes() {
        for (line, expected) in [
            ("x", "invalid option: \"x\""),
            ("-tz", "invalid option: \"z\""),
            ("-c", "option \"-c\" requires file name"),
            ("-p", "option \"-p\" requires directory name"),
            ("-g", "option \"-g\" requires parameter"),
            ("-s", "option \"-s\" requires parameter"),
            ("-s now", "invalid option: \"-s now\""),
            ("--check-now", "option \"--check-now\" requires the name of an upstream"),
            ("--nope", "invalid option: \"-\""),
        ] {
            assert_eq!(parse(line), Err(expected.to_string()), "{line}");
        }
    }
}
