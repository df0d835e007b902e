//! The claims of a token from `sts:GetWebIdentityToken` (AWS IAM User Guide, "Understanding token claims").
//!
//! The default bundle's `entity Aws::Principal` has exactly these attributes. Strings may be empty.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::{Text, TextMap, TextOrSet};

/// The object that contains AWS's claims.
const AWS: &str = "https://sts.amazonaws.com/";

/// Attributes in alphabetical order.
pub const CLAIMS: &[Claim] = &[
    Claim::required("aws_account", Text).at(&[AWS, "aws_account"]),
    Claim::optional("ec2_instance_source_private_ipv4", Text).at(&[AWS, "ec2_instance_source_private_ipv4"]),
    Claim::optional("ec2_instance_source_vpc", Text).at(&[AWS, "ec2_instance_source_vpc"]),
    Claim::optional("ec2_role_delivery", Text).at(&[AWS, "ec2_role_delivery"]),
    Claim::optional("ec2_source_instance_arn", Text).at(&[AWS, "ec2_source_instance_arn"]),
    Claim::optional("lambda_source_function_arn", Text).at(&[AWS, "lambda_source_function_arn"]),
    Claim::optional("org_id", Text).at(&[AWS, "org_id"]),
    Claim::optional("original_session_exp", Text).at(&[AWS, "original_session_exp"]),
    Claim::optional("ou_path", TextOrSet).at(&[AWS, "ou_path"]),
    Claim::required("principal_arn", Text).at(&["sub"]),
    Claim::optional("principal_id", Text).at(&[AWS, "principal_id"]),
    Claim::optional("principal_tags", TextMap).at(&[AWS, "principal_tags"]),
    Claim::optional("request_tags", TextMap).at(&[AWS, "request_tags"]),
    Claim::optional("source_identity", Text).at(&[AWS, "source_identity"]),
    Claim::optional("source_region", Text).at(&[AWS, "source_region"]),
];
