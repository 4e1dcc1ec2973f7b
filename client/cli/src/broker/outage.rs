//! Says when the broker is out of reach, while it is waited for.

use std::time::Duration;

use rheos_client::Client;

/// How often to look whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whether the broker is out of reach, as far as was told.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    is_told: bool,
}

impl Outage {
    /// What there is to tell: once for each time that the broker goes away.
    pub(crate) fn news(&mut self, client: &Client) -> Option<String> {
        let trouble = client.trouble();
        let was_told = std::mem::replace(&mut self.is_told, trouble.is_some());
        trouble.filter(|_| !was_told).map(|why| format!("{why}; waiting for the broker"))
    }

    /// Tells it, for as long as this is waited for.
    pub(crate) async fn watch(mut self, client: &Client, tell: impl Fn(&str)) -> ! {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(news) = self.news(client) {
                tell(&news);
            }
        }
    }
}
