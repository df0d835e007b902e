//! A bundle beside its rules: every other file, read and checked.

use crate::decide::IssuingAction;
use crate::error::{Finding, InvalidBundle, Problem};
use crate::files::BundleFiles;
use crate::groups::{self, Group};
use crate::head::{self, Head};
use crate::hidden;
use crate::known::Known;
use crate::listing::{self, Listing, check_copied_claims, check_unique};
use crate::records::{Audience, Environment, Issuer};
use crate::schema::{self, Additions, Attributes, BundleSchema};
use crate::toml_file::utf8;
use crate::{audience, issuer};

/// What a bundle is beside its rules, checked.
pub(crate) struct Frame<'f> {
    pub environment: &'f Environment,
    pub listing: Listing<'f>,
    pub head: Head,
    pub issuers: Vec<Issuer>,
    pub audiences: Vec<Audience>,
    pub groups: Vec<Group>,
    pub attributes: Attributes,
    pub action: IssuingAction,
    pub known: Known,
}

impl<'f> Frame<'f> {
    pub fn read(
        files: &'f BundleFiles,
        environment: &'f Environment,
    ) -> Result<Self, InvalidBundle> {
        let mut findings = Vec::new();
        let listing = listing::list(files, &mut findings);
        let hidden = hidden::findings(files);
        if !hidden.is_empty() {
            // Further findings could quote such a text.
            findings.extend(hidden);
            return Err(InvalidBundle { findings });
        }
        let head = head::read(files).map_err(|more| findings.extend(more)).ok();
        let issuers: Vec<Issuer> =
            collect(&mut findings, listing.issuers.iter(), |(path, name)| {
                issuer::read(path, name, files, environment)
            });
        let audiences: Vec<Audience> = collect(&mut findings, listing.audiences.iter(), |path| {
            audience::read(path, files, environment)
        });
        // Which file an issuer or audience came from is known by position only if all were read.
        if findings.is_empty() {
            check_unique(files, &listing, &issuers, &audiences, &mut findings);
        }
        let (Some(head), true) = (head, findings.is_empty()) else {
            return Err(InvalidBundle { findings });
        };
        Self::assemble(files, environment, listing, head, issuers, audiences)
            .map_err(|findings| InvalidBundle { findings })
    }

    fn assemble(
        files: &BundleFiles,
        environment: &'f Environment,
        listing: Listing<'f>,
        head: Head,
        issuers: Vec<Issuer>,
        audiences: Vec<Audience>,
    ) -> Result<Self, Vec<Finding>> {
        let action = IssuingAction::new().ok_or_else(internal)?;
        let BundleSchema { schema, attributes } =
            read_schema(files, &listing, &head, &issuers, &action)?;
        check_copied_claims(files, &listing, &audiences, &attributes, &issuers)?;
        let paths = listing.issuers.iter().map(|(path, _)| *path);
        issuer::check_subjects(files, paths.zip(&issuers), &attributes)?;
        let groups = read_groups(files, &listing, &issuers, &audiences, &attributes)?;
        let known = Known::new(&issuers, &audiences, &groups, schema);
        Ok(Self {
            environment,
            listing,
            head,
            issuers,
            audiences,
            groups,
            attributes,
            action,
            known,
        })
    }
}

/// Only if Cedar did not know its own words.
pub(crate) fn internal() -> Vec<Finding> {
    vec![Finding::of_file(schema::FILE, Problem::EntityTypeInvalid)]
}

fn read_schema(
    files: &BundleFiles,
    listing: &Listing<'_>,
    head: &Head,
    issuers: &[Issuer],
    action: &IssuingAction,
) -> Result<BundleSchema, Vec<Finding>> {
    let content = files
        .content(schema::FILE)
        .ok_or_else(|| vec![Finding::of_file(schema::FILE, Problem::FileMissing)])?;
    let text = utf8(schema::FILE, content).map_err(|finding| vec![finding])?;
    let additions = Additions {
        zones: &head.zones,
        groups: !listing.entities.is_empty(),
    };
    schema::read(text, issuers, action, &additions)
}

fn read_groups(
    files: &BundleFiles,
    listing: &Listing<'_>,
    issuers: &[Issuer],
    audiences: &[Audience],
    attributes: &Attributes,
) -> Result<Vec<Group>, Vec<Finding>> {
    let mut findings = Vec::new();
    let groups = collect(&mut findings, listing.entities.iter(), |(path, name)| {
        groups::read(path, name, files, issuers, audiences, attributes)
    });
    match findings.is_empty() {
        true => Ok(groups),
        false => Err(findings),
    }
}

fn collect<I, T>(
    findings: &mut Vec<Finding>,
    items: impl Iterator<Item = I>,
    read: impl Fn(I) -> Result<T, Vec<Finding>>,
) -> Vec<T> {
    let mut values = Vec::new();
    for item in items {
        match read(item) {
            Ok(value) => values.push(value),
            Err(more) => findings.extend(more),
        }
    }
    values
}
