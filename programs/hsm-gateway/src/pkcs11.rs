//! PKCS#11: the HSM as the gateway uses it, and what its PKCS#11 token must hold.
//!
//! [`Hsm`] is the gateway's side. It starts the [`worker`] process, which alone loads the vendor's module, and speaks
//! [`protocol`] with it.

mod error;
mod hsm;
mod inventory;
mod login_record;
pub mod protocol;
pub mod public_key;
mod root;
pub mod worker;

pub use error::{HsmError, invalid_generation};
pub use hsm::{CREATE_MAX, Hsm};
pub use inventory::{check_key, check_key_pair, inspect, key_versions, root_generation};
pub use login_record::LoginRecord;
pub use root::{Root, create_root_signing_key, import_root_certificate};
