//! Asking Nacos servers for a service's list.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use crate::base::escape;
use crate::face::nacos::naming::ServiceKey;

use super::client::{self, ClientError};
use super::conf::{ServerAddr, ServerConf};
use super::peers::Found;

/// The servers of a configuration, and the token they gave.
#[derive(Debug)]
pub struct Remote {
    pub conf: ServerConf,
    token: Mutex<Option<String>>,
}

impl Remote {
    pub fn new(conf: ServerConf) -> Self {
        Self { conf, token: Mutex::default() }
    }

    /// The list of a service from the first server that has one; the last complaint otherwise.
    pub async fn list(
        &self,
        key: &ServiceKey,
        clusters: &str,
    ) -> Result<Vec<Found>, (String, ClientError)> {
        let mut why = (String::new(), ClientError::Timeout);
        for server in &self.conf.servers {
            match self.list_of(server, key, clusters).await {
                Ok(list) => return Ok(list),
                Err(e) => why = (server.host.clone(), e),
            }
        }
        Err(why)
    }

    async fn list_of(
        &self,
        server: &ServerAddr,
        key: &ServiceKey,
        clusters: &str,
    ) -> Result<Vec<Found>, ClientError> {
        let target = format!(
            "/v1/ns/instance/list?serviceName={}&groupName={}&namespaceId={}&clusters={}",
            escaped(&key.grouped()),
            escaped(&key.group),
            escaped(&key.namespace),
            escaped(clusters)
        );
        let body = match self.ask(server, &target).await {
            // The token may have run out.
            Err(ClientError::Status(401 | 403)) if self.conf.account.is_some() => {
                *self.token() = None;
                self.ask(server, &target).await?
            }
            asked => asked?,
        };
        let list: List = serde_json::from_slice(&body)?;
        Ok(list.hosts)
    }

    async fn ask(&self, server: &ServerAddr, target: &str) -> Result<Vec<u8>, ClientError> {
        let secure = self.conf.tls.as_ref();
        let Some((user, password)) = &self.conf.account else {
            return client::ask(server, secure, "GET", target, "").await;
        };
        let known = self.token().clone();
        let token = match known {
            Some(token) => token,
            None => {
                let form = format!("username={}&password={}", escaped(user), escaped(password));
                let body = client::ask(server, secure, "POST", "/v1/auth/login", &form).await?;
                let login: Login = serde_json::from_slice(&body)?;
                self.token().insert(login.access_token).clone()
            }
        };
        let target = format!("{target}&accessToken={}", escaped(&token));
        client::ask(server, secure, "GET", &target, "").await
    }

    fn token(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct List {
    hosts: Vec<Found>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    access_token: String,
}

fn escaped(text: &str) -> String {
    let set = &escape::URI_COMPONENT;
    String::from_utf8_lossy(&escape::uri(text.as_bytes(), set)).into_owned()
}
