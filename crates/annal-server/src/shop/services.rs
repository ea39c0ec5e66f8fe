//! Who works in the shop: the services, their pods, and what they say about themselves.

use std::sync::Arc;

use annal::Value;
use annal::event::{Attribute, Resource, Scope};

use super::random::Random;

/// A service, by its place in [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Frontend,
    Cart,
    Checkout,
    Payment,
    Shipping,
    Currency,
    Catalog,
    Recommendation,
    Ad,
    Email,
    Accounting,
    Fraud,
}

/// Their names.
pub(crate) const NAMES: [&str; 12] = [
    "frontend",
    "cart",
    "checkout",
    "payment",
    "shipping",
    "currency",
    "product-catalog",
    "recommendation",
    "ad",
    "email",
    "accounting",
    "fraud-detection",
];

/// Language, pods and version of each.
const FACTS: [(&str, usize, &str); 12] = [
    ("nodejs", 3, "2.14.0"),
    ("dotnet", 2, "1.9.3"),
    ("go", 2, "3.2.1"),
    ("nodejs", 2, "1.4.1"),
    ("rust", 1, "0.8.0"),
    ("cpp", 1, "1.1.0"),
    ("go", 2, "2.6.4"),
    ("python", 2, "1.3.0"),
    ("java", 1, "1.12.2"),
    ("ruby", 1, "1.0.7"),
    ("dotnet", 1, "1.2.0"),
    ("java", 1, "0.9.5"),
];

/// One service as its spans show it.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) name: &'static str,
    /// One per pod.
    pub(crate) resources: Vec<Arc<Resource>>,
    pub(crate) scope: Arc<Scope>,
}

/// All services.
#[derive(Debug)]
pub(crate) struct Services(Vec<Facts>);

impl Services {
    pub(crate) fn new(random: &mut Random) -> Services {
        let facts = NAMES.iter().zip(FACTS).map(|(&name, (language, pods, version))| {
            let set = format!("{:08x}", random.next() >> 32);
            let resources = (0..pods).map(|_| resource(random, name, language, version, &set));
            let resources = resources.collect();
            Facts { name, resources, scope: Arc::new(scope(language)) }
        });
        Services(facts.collect())
    }

    pub(crate) fn of(&self, service: Service) -> &Facts {
        &self.0[service as usize]
    }
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

fn resource(
    random: &mut Random,
    name: &str,
    language: &str,
    version: &str,
    set: &str,
) -> Arc<Resource> {
    let pod = format!("{name}-{set}-{:05x}", random.next() >> 44);
    let id = random.bytes::<16>().map(|b| format!("{b:02x}")).concat();
    let node = format!("node-{}", random.below(5));
    let pairs = [
        ("service.name", name),
        ("service.namespace", "shop"),
        ("service.version", version),
        ("service.instance.id", &id),
        ("deployment.environment.name", "production"),
        ("k8s.pod.name", &pod),
        ("k8s.node.name", &node),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", language),
    ];
    let text = |(key, value): (&str, &str)| Attribute::new(key, Value::String(value.to_owned()));
    let schema_url = "https://opentelemetry.io/schemas/1.37.0".to_owned();
    Arc::new(Resource { attributes: pairs.map(text).into(), dropped_attributes: 0, schema_url })
}

fn scope(language: &str) -> Scope {
    let (name, version) = match language {
        "nodejs" => ("@opentelemetry/instrumentation-grpc", "0.57.0"),
        "go" => ("go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc", "0.60.0"),
        "java" => ("io.opentelemetry.grpc-1.6", "2.12.0-alpha"),
        "python" => ("opentelemetry.instrumentation.grpc", "0.51b0"),
        "dotnet" => ("Microsoft.AspNetCore", "9.0.0"),
        _ => ("shop", "1.0.0"),
    };
    Scope { name: name.to_owned(), version: version.to_owned(), ..Scope::default() }
}
