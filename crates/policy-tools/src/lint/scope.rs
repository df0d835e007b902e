//! Comparisons of policy scopes.

use cedar_policy::ResourceConstraint;
use vouchsafe_policy::NamedPolicy;

/// Whether the resource scope of `wide` includes that of `narrow`; false if unknown.
pub(super) fn covers_resource(wide: &NamedPolicy, narrow: &NamedPolicy) -> bool {
    let narrow = narrow.cedar.resource_constraint();
    match wide.cedar.resource_constraint() {
        // Every resource is an audience.
        ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
        constraint => constraint == narrow,
    }
}
