//! Where values are kept that nobody is shown.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use documents::{Review, Spanned};
use otlp::Secret;

use super::Surroundings;
use super::file::{SecretCredential, SecretFile, SecretValue};

/// Read, write and execute for everybody.
const OTHERS: u32 = 0o007;

pub(super) fn secret(
    value: &Spanned<SecretValue>,
    surroundings: &Surroundings<'_>,
    review: &mut Review,
) -> Option<Secret> {
    let path = match &value.value {
        SecretValue::Text(text) => return Some(Secret::Text(text.clone())),
        SecretValue::File(SecretFile { file }) => surroundings.base.path(file),
        SecretValue::Credential(SecretCredential { credential }) => {
            if credential.is_empty() || credential.contains('/') || credential.starts_with('.') {
                review.error(value, format!("{credential:?} is no name of a credential")).hint =
                    Some("name it as LoadCredential= in the unit does".to_owned());
                return None;
            }
            let Some(directory) = surroundings.variable("CREDENTIALS_DIRECTORY") else {
                review
                    .error(value, format!("there is no credential {credential:?} outside of a service"))
                    .hint = Some(format!(
                    "systemd hands it over by LoadCredential={credential}:FILE in the unit, and says where in \
                         $CREDENTIALS_DIRECTORY"
                ));
                return None;
            };
            Path::new(directory).join(credential)
        }
    };
    private(&path, value, review);
    Some(Secret::File(path))
}

/// Has everybody kept out of `path`, which `value` names. One that cannot be looked at is told of by whoever reads it.
pub(super) fn private<T>(path: &Path, value: &Spanned<T>, review: &mut Review) {
    let Ok(found) = std::fs::metadata(path) else { return };
    if found.permissions().mode() & OTHERS != 0 {
        let shown = path.display();
        review.error(value, format!("{shown} holds a secret, and everybody may open it")).hint =
            Some(format!("run chmod o= {shown}, and renew the secret if somebody may have read it"));
    }
}
