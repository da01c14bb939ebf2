//! Which cloud the host is rented from, as the board's names (DMI) and the data that cloud-init left tell it.
//!
//! The board decides: cloud-init's data may have come with an image from elsewhere, and counts only where it speaks of
//! the same cloud, or the board of none. A cloud whose name the conventions do not have gets no `cloud.provider`, but its
//! host has the instance's id, region and type all the same. Neither the board's UUID nor serial numbers are read.

use serde_json::Value;
use telemetry::AttributeValue;

use super::line;
use crate::host::HostRoot;

type Attribute = (&'static str, Option<AttributeValue>);

/// A cloud, and how it is recognised.
struct Cloud {
    /// What cloud-init calls it: `v1.cloud_name`.
    name: &'static str,
    provider: Option<&'static str>,
    platform: Option<&'static str>,
    /// Files below `/sys/class/dmi/id`, with what one of them begins with.
    board: &'static [(&'static str, &'static str)],
}

const fn cloud(
    name: &'static str,
    [provider, platform]: [Option<&'static str>; 2],
    board: &'static [(&'static str, &'static str)],
) -> Cloud {
    Cloud { name, provider, platform, board }
}

/// The clouds. Boards by the documentation of each, and by cloud-init's ds-identify.
static CLOUDS: &[Cloud] = &[
    cloud(
        "aws",
        [Some("aws"), Some("aws_ec2")],
        &[("sys_vendor", "Amazon EC2"), ("bios_vendor", "Amazon EC2")],
    ),
    cloud("gce", [Some("gcp"), Some("gcp_compute_engine")], &[("product_name", "Google Compute Engine")]),
    cloud(
        "azure",
        [Some("azure"), Some("azure.vm")],
        &[("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77")],
    ),
    cloud("digitalocean", [None, None], &[("sys_vendor", "DigitalOcean")]),
    cloud("hetzner", [Some("hetzner"), Some("hetzner.cloud_server")], &[("sys_vendor", "Hetzner")]),
    cloud(
        "oracle",
        [Some("oracle_cloud"), Some("oracle_cloud_compute")],
        &[("chassis_asset_tag", "OracleCloud.com")],
    ),
    cloud(
        "aliyun",
        [Some("alibaba_cloud"), Some("alibaba_cloud_ecs")],
        &[("product_name", "Alibaba Cloud ECS")],
    ),
    cloud("tencent", [Some("tencent_cloud"), Some("tencent_cloud_cvm")], &[("sys_vendor", "Tencent Cloud")]),
    cloud(
        "scaleway",
        [Some("scaleway_cloud"), Some("scaleway_cloud_compute")],
        &[("sys_vendor", "Scaleway")],
    ),
    cloud("vultr", [Some("vultr"), Some("vultr.cloud_compute")], &[("sys_vendor", "Vultr")]),
    cloud(
        "akamai",
        [Some("akamai_cloud"), Some("akamai_cloud.compute")],
        &[("sys_vendor", "Akamai"), ("sys_vendor", "Linode")],
    ),
    cloud("ibmcloud", [Some("ibm_cloud"), None], &[("chassis_vendor", "IBM:Cloud Compute Server")]),
    cloud(
        "openstack",
        [None, None],
        &[
            ("product_name", "OpenStack Nova"),
            ("product_name", "OpenStack Compute"),
            ("chassis_asset_tag", "OpenTelekomCloud"),
            ("chassis_asset_tag", "HUAWEICLOUD"),
            ("chassis_asset_tag", "SAP CCloud VM"),
        ],
    ),
    cloud("exoscale", [None, None], &[("product_name", "Exoscale")]),
    cloud("upcloud", [None, None], &[("sys_vendor", "UpCloud")]),
];

/// What is known of the instance.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    provider: Option<&'static str>,
    platform: Option<&'static str>,
    /// What the cloud calls the instance: `host.id`.
    pub(super) instance_id: Option<String>,
    kind: Option<String>,
    image_id: Option<String>,
    image_version: Option<String>,
    account: Option<String>,
    region: Option<String>,
    zone: Option<String>,
    resource: Option<String>,
}

impl Facts {
    pub(super) fn of_the_host(&self) -> [Attribute; 3] {
        [
            ("host.type", text(self.kind.as_ref())),
            ("host.image.id", text(self.image_id.as_ref())),
            ("host.image.version", text(self.image_version.as_ref())),
        ]
    }

    pub(super) fn of_the_cloud(&self) -> [Attribute; 6] {
        [
            ("cloud.provider", self.provider.map(Into::into)),
            ("cloud.platform", self.platform.map(Into::into)),
            ("cloud.account.id", text(self.account.as_ref())),
            ("cloud.region", text(self.region.as_ref())),
            ("cloud.availability_zone", text(self.zone.as_ref())),
            ("cloud.resource_id", text(self.resource.as_ref())),
        ]
    }
}

fn text(fact: Option<&String>) -> Option<AttributeValue> {
    fact.cloned().map(Into::into)
}

/// The cloud of this host, if it is rented from one.
pub(super) fn detect(host: &HostRoot) -> Option<Facts> {
    let data = host.read("run/cloud-init/instance-data.json").ok();
    let data = data.and_then(|file| serde_json::from_str::<Value>(file.text()).ok()).unwrap_or_default();
    let said = at(&data, "v1.cloud_name").and_then(|name| CLOUDS.iter().find(|cloud| cloud.name == name));
    let cloud = CLOUDS.iter().find(|cloud| has_board(host, cloud)).or(said)?;
    let data = if said.is_some_and(|said| said.name == cloud.name) { data } else { Value::Null };
    let mut facts = from_data(&data);
    (facts.provider, facts.platform) = (cloud.provider, cloud.platform);
    match cloud.name {
        // On Nitro boards the product is the instance's type, and the tag its id.
        "aws" => {
            let tag = board(host, "board_asset_tag").filter(|tag| tag.starts_with("i-"));
            let product = board(host, "product_name").filter(|product| product.contains('.'));
            facts.instance_id = facts.instance_id.or(tag);
            facts.kind = facts.kind.or(product);
        }
        // The region of us-central1-b is us-central1; cloud-init says it of other clouds.
        "gce" => {
            let region = facts.zone.as_ref().and_then(|zone| zone.rsplit_once('-'));
            facts.region = facts.region.or(region.map(|(region, _)| region.to_owned()));
        }
        _ => {}
    }
    // Written at each boot as well, but kept in images; so it counts last.
    facts.instance_id =
        facts.instance_id.or_else(|| line(host, "var/lib/cloud/data/instance-id").filter(|id| is_id(id)));
    Some(facts)
}

/// cloud-init's own words where it was told no id.
fn is_id(id: &str) -> bool {
    !id.starts_with("iid-") && !id.starts_with("nocloud")
}

fn has_board(host: &HostRoot, cloud: &Cloud) -> bool {
    cloud.board.iter().any(|(name, begins)| board(host, name).is_some_and(|text| text.starts_with(begins)))
}

fn board(host: &HostRoot, name: &str) -> Option<String> {
    line(host, &format!("sys/class/dmi/id/{name}"))
}

/// The standard keys of cloud-init, and beside them what each cloud says in its own place.
pub(crate) fn from_data(data: &Value) -> Facts {
    let first = |places: &[&str]| {
        places.iter().find_map(|place| at(data, place)).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let document = |key: &str| first(&[&format!("ds.dynamic.instance_identity.document.{key}")]);
    let compute = |key: &str| first(&[&format!("ds.meta_data.imds.compute.{key}")]);
    let own = |keys: &[&str]| keys.iter().find_map(|key| first(&[&format!("ds.meta_data.{key}")]));
    Facts {
        provider: None,
        platform: None,
        instance_id: first(&["v1.instance_id"]).filter(|id| is_id(id)),
        kind: document("instanceType")
            .or_else(|| compute("vmSize"))
            .or_else(|| own(&["instance_type"]))
            .or_else(|| first(&["ds.ec2_metadata.instance_type"])),
        image_id: document("imageId")
            .or_else(|| compute("storageProfile.imageReference.id"))
            .or_else(|| own(&["ami_id", "image_id"])),
        image_version: compute("version"),
        account: document("accountId")
            .or_else(|| compute("subscriptionId"))
            .or_else(|| own(&["owner_account_id"])),
        region: first(&["v1.region"]),
        zone: first(&["v1.availability_zone"]),
        resource: compute("resourceId"),
    }
}

/// The text at a path of keys. Versions of cloud-init spell keys with `-` or with `_`.
fn at<'a>(data: &'a Value, path: &str) -> Option<&'a str> {
    let found = path.split('.').try_fold(data, |value, key| {
        let object = value.as_object()?;
        object.get(key).or_else(|| object.get(&key.replace('_', "-")))
    });
    found?.as_str()
}
