//! Signatures in addresses.
//!
//! In: the query of an address. Out: the query without the parameters that sign it. Promises: only
//! parameters of known schemes are left out, and those with everyday names (`Expires`, `sp`) only
//! where the scheme's own signature stands beside them; the others keep their order.

/// One way of signing an address.
struct Scheme {
    /// The parameters that are there if an address is signed so; without any, the prefixes and
    /// names are enough.
    marks: &'static [&'static str],
    /// Beginnings of names.
    prefixes: &'static [&'static str],
    /// Whole names.
    names: &'static [&'static str],
}

/// The schemes, in small letters.
const SCHEMES: [Scheme; 7] = [
    // AWS Signature Version 4, and those who took it over (MinIO, R2, B2, Wasabi): "Authenticating
    // requests: using query parameters", Amazon S3 API reference.
    Scheme { marks: &[], prefixes: &["x-amz-"], names: &[] },
    // Google Cloud Storage, V4 signing process with query strings: "Canonical requests".
    Scheme { marks: &[], prefixes: &["x-goog-"], names: &[] },
    // Signature Version 2 of S3 ("Signing and authenticating REST requests"), of Google Cloud
    // Storage ("V2 signing process") and of Alibaba Cloud OSS ("Add signatures to URLs").
    Scheme {
        marks: &["signature", "expires"],
        prefixes: &[],
        names: &[
            "awsaccesskeyid",
            "googleaccessid",
            "ossaccesskeyid",
            "security-token",
            "expires",
            "signature",
        ],
    },
    // CloudFront: "Create a signed URL using a canned policy", "... a custom policy".
    Scheme {
        marks: &["signature", "key-pair-id"],
        prefixes: &[],
        names: &["expires", "policy", "signature", "key-pair-id", "hash-algorithm"],
    },
    // Shared access signatures of Azure Storage: "Create a service SAS", "... a user delegation
    // SAS", "... an account SAS".
    Scheme {
        marks: &["sig", "sv"],
        prefixes: &[],
        names: &[
            "sv", "ss", "srt", "sr", "st", "se", "sp", "sip", "spr", "si", "sig", "skoid", "sktid",
            "skt", "ske", "sks", "skv", "saoid", "suoid", "scid", "sdd", "ses", "sduoid",
            "skdutid",
        ],
    },
    // Alibaba Cloud OSS V4: "Include a V4 signature in a URL".
    Scheme {
        marks: &["x-oss-signature"],
        prefixes: &[],
        names: &[
            "x-oss-signature-version",
            "x-oss-credential",
            "x-oss-date",
            "x-oss-expires",
            "x-oss-additional-headers",
            "x-oss-signature",
            "x-oss-security-token",
        ],
    },
    // Tencent Cloud COS: "Request signature".
    Scheme { marks: &["q-signature"], prefixes: &["q-"], names: &["x-cos-security-token"] },
];

/// `query`, which stands behind the `?`, without what signs it.
pub(super) fn without(query: &str) -> String {
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let names: Vec<String> = query.split('&').map(name).collect();
    let is_there = |mark: &&str| names.iter().any(|name| name == mark);
    let used: Vec<&Scheme> =
        SCHEMES.iter().filter(|scheme| scheme.marks.iter().all(&is_there)).collect();
    let signs = |name: &str| {
        used.iter().any(|scheme| {
            scheme.names.contains(&name)
                || scheme.prefixes.iter().any(|prefix| name.starts_with(prefix))
        })
    };
    let pairs = query.split('&').zip(&names);
    let kept: Vec<&str> = pairs.filter(|(_, name)| !signs(name)).map(|(pair, _)| pair).collect();
    kept.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_signs_an_address_is_left_out() {
        for (query, kept) in [
            (
                "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F1&X-Amz-Date=1&\
                 X-Amz-Expires=60&X-Amz-Security-Token=t&X-Amz-SignedHeaders=host&\
                 X-Amz-Signature=5&versionId=7",
                "versionId=7",
            ),
            ("a=1&X-Goog-Signature=5&X-Goog-Date=2&generation=3", "a=1&generation=3"),
            ("AWSAccessKeyId=A&Signature=b%3D&Expires=1&v=2", "v=2"),
            ("GoogleAccessId=a@b&Expires=1&Signature=x", ""),
            ("Expires=1&Signature=x~_&Key-Pair-Id=K", ""),
            ("Policy=p&Signature=x&Key-Pair-Id=K&w=640", "w=640"),
            ("sv=2024-11-04&st=1&se=2&sr=b&sp=r&sig=x%3D&snapshot=3", "snapshot=3"),
            (
                "x-oss-signature-version=4&x-oss-signature=1&x-oss-process=resize",
                "x-oss-process=resize",
            ),
            ("q-sign-algorithm=sha1&q-ak=A&q-signature=1&x=1", "x=1"),
            // The same names without a signature say which file is meant.
            ("sp=1&se=2&sr=3", "sp=1&se=2&sr=3"),
            ("Expires=never&Policy=p", "Expires=never&Policy=p"),
            ("q-x=1&id=9", "q-x=1&id=9"),
            ("", ""),
        ] {
            assert_eq!(without(query), kept, "{query}");
        }
    }
}
