//! The documents of views. A view that no audience of the bundle names does not exist.

use crate::bindings::decisions;
use crate::ports::Wasm;
use std::cell::RefCell;
use std::collections::BTreeSet;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::metadata::MAX_AGE_SECONDS;
use vouchsafe_exchange::ports::{Policy, Signer};
use vouchsafe_exchange::refusal::{Part, Refusal};
use vouchsafe_exchange::view;
use vouchsafe_types::View;

thread_local! {
    /// The views of the bundle, which cannot change while an instance lives.
    static VIEWS: RefCell<Option<BTreeSet<View>>> = const { RefCell::new(None) };
}

#[derive(Clone, Copy)]
pub enum Document {
    Keys(View),
    OpenidConfiguration(View),
}

impl Document {
    /// `/v/<view>/.well-known/…`. Names and paths are compared exactly.
    pub fn of(path: &str) -> Option<Self> {
        let (name, document) = path.strip_prefix("/v/")?.split_once('/')?;
        let view = View::of_name(name)?;
        match document {
            ".well-known/jwks.json" => Some(Self::Keys(view)),
            ".well-known/openid-configuration" => Some(Self::OpenidConfiguration(view)),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Keys(_) => "view-jwks",
            Self::OpenidConfiguration(_) => "view-openid-configuration",
        }
    }

    fn view(self) -> View {
        match self {
            Self::Keys(view) | Self::OpenidConfiguration(view) => view,
        }
    }

    /// The document and how long it may be cached, in seconds. None if no audience has the view.
    pub async fn answer(self, ports: &Wasm) -> Result<Option<(String, u64)>, Failure> {
        let settings = ports.settings().await?;
        let bundle = ports.bundle(&settings).await?;
        if !is_in_use(&bundle.digest, self.view())? {
            return Ok(None);
        }
        match self {
            Self::OpenidConfiguration(view) => Ok(Some((view::openid_configuration(&settings, view), MAX_AGE_SECONDS))),
            Self::Keys(view) => {
                let keys = ports.public_keys().await?;
                let document = view::key_set(&keys.document, view).ok_or_else(|| {
                    Failure::new(Refusal::Unavailable(Part::Signer), "the signer's keys are no JWK Set".to_owned())
                })?;
                Ok(Some((document, keys.max_age_seconds)))
            }
        }
    }
}

fn is_in_use(digest: &str, view: View) -> Result<bool, Failure> {
    if let Some(known) = VIEWS.with_borrow(|views| views.as_ref().map(|views| views.contains(&view))) {
        return Ok(known);
    }
    let views: BTreeSet<View> =
        decisions::list_audiences(digest)?.iter().filter_map(|audience| audience.view).collect();
    let known = views.contains(&view);
    VIEWS.set(Some(views));
    Ok(known)
}
