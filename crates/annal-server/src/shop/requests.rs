//! What customers do, and what the shop does about it.

use annal::event::{Attribute, Kind};
use annal::{Event, SpanId, Timestamp, TraceId};

use super::random::Random;
use super::rhythm::Incident;
use super::services::{Service, Services};
use super::story::{Done, Fault, Place, Story, int, text};

const PRODUCTS: [(&str, &str); 10] = [
    ("OLJCE-01", "Sunglasses"),
    ("66VCH-02", "Tank top"),
    ("1YMWW-03", "Watch"),
    ("L9ECA-04", "Loafers"),
    ("2ZYFJ-05", "Hairdryer"),
    ("0PUK6-06", "Candle holder"),
    ("LS4PS-07", "Salt and pepper shakers"),
    ("9SIQT-08", "Bamboo glass jar"),
    ("6E92Z-09", "Mug"),
    ("HQTGW-10", "Telescope"),
];
const CURRENCIES: [&str; 5] = ["EUR", "USD", "JPY", "GBP", "CHF"];
const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.4 Safari/605",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/141.0.0.0 Mobile Safari/537.36",
];

/// Who asks.
struct Customer {
    user: String,
    session: String,
    address: String,
    browser: &'static str,
}

/// An order on its way to those who handle it later.
struct Message {
    trace: TraceId,
    span: Option<SpanId>,
    sent: i64,
    order: String,
    offset: u64,
}

/// Plays one request that begins at `at`.
pub(crate) fn play(
    random: &mut Random,
    services: &Services,
    incident: Option<Incident>,
    messages: &mut u64,
    at: Timestamp,
) -> Vec<Event> {
    let customer = Customer {
        user: format!("u-{}", random.skewed(20_000)),
        session: random.bytes::<8>().map(|b| format!("{b:02x}")).concat(),
        address: format!("198.51.{}.{}", random.below(100), random.below(254) + 1),
        browser: random.pick::<&'static str>(&BROWSERS),
    };
    let (method, route, act): (&str, &str, Act) = match random.below(100) {
        0..=29 => ("GET", "/", home),
        30..=64 => ("GET", "/product/{id}", product),
        65..=79 => ("POST", "/cart", add_to_cart),
        80..=89 => ("GET", "/cart", view_cart),
        _ => ("POST", "/cart/checkout", checkout),
    };
    let mut story = Story::new(random, services, incident);
    let path = match route {
        "/product/{id}" => format!("/product/{}", story.random.pick(&PRODUCTS).0),
        route => route.to_owned(),
    };
    let attributes = request_attributes(&customer, method, route, path);
    let name = format!("{method} {route}");
    let start = at.as_ns();
    let root = story.open(None, Service::Frontend, Kind::Server, &name, start, attributes);
    let mut sent = None;
    let mut done = act(&mut story, root, start + PARSING_NS, &customer, &mut sent);
    done.end += story.random.took(600.0);
    let status = if done.fault.is_some() { 500 } else { 200 };
    story.note(root, int("http.response.status_code", status));
    if let Some(fault) = &done.fault {
        story.throw(root, done.end - 100_000, fault);
        let message = format!("request failed: {} {}: {}", method, route, fault.message);
        story.log(root, done.end - 50_000, 17, message);
    }
    story.close(root, &done);
    let mut events = story.finish();
    if let Some(mut message) = sent {
        message.offset = *messages;
        *messages += 1;
        events.extend(account(random, services, incident, &message));
        events.extend(detect_fraud(random, services, incident, &message));
    }
    events
}

type Act = fn(&mut Story<'_>, Place, i64, &Customer, &mut Option<Message>) -> Done;

/// Until the frontend knows what is asked of it.
const PARSING_NS: i64 = 120_000;

fn request_attributes(c: &Customer, method: &str, route: &str, path: String) -> Vec<Attribute> {
    vec![
        text("http.request.method", method),
        text("http.route", route),
        text("url.path", path),
        text("url.scheme", "https"),
        text("client.address", c.address.clone()),
        text("user_agent.original", c.browser),
        text("user.id", c.user.clone()),
        text("session.id", c.session.clone()),
    ]
}

fn home(s: &mut Story<'_>, root: Place, at: i64, c: &Customer, _: &mut Option<Message>) -> Done {
    let listed = s.call(root, at, Service::Catalog, "ListProducts", |s, span, at| {
        let query = "SELECT id, name, price FROM products ORDER BY name".to_owned();
        Done::at(s.database(
            span,
            at,
            "postgresql",
            "SELECT products",
            query,
            catalog_us(s, 1_500.0),
        ))
    });
    let priced = convert(s, root, listed.end);
    let cart = get_cart(s, root, priced.end, c);
    let ads = advertise(s, root, cart.end);
    Done { end: ads.end, fault: None }
}

fn product(s: &mut Story<'_>, root: Place, at: i64, c: &Customer, _: &mut Option<Message>) -> Done {
    let read = get_product(s, root, at);
    if read.fault.is_some() {
        return read;
    }
    let priced = convert(s, root, read.end);
    let user = c.user.clone();
    // Recommendations and advertisements are fetched at the same time.
    let advised = s.call(root, priced.end, Service::Recommendation, "List", |s, span, at| {
        let message = format!("recommending 4 products to {user}");
        s.log(span, at + 300_000, 9, message);
        let asked = at + s.random.took(900.0);
        let read = get_product(s, span, asked);
        Done::at(read.end + s.random.took(2_000.0))
    });
    let ads = advertise(s, root, priced.end);
    Done::at(advised.end.max(ads.end))
}

fn add_to_cart(
    s: &mut Story<'_>,
    root: Place,
    at: i64,
    c: &Customer,
    _: &mut Option<Message>,
) -> Done {
    let read = get_product(s, root, at);
    if read.fault.is_some() {
        return read;
    }
    let (id, name) = *s.random.pick(&PRODUCTS);
    let amount = s.random.below(3) + 1;
    let user = c.user.clone();
    s.call(root, read.end, Service::Cart, "AddItem", |s, span, at| {
        s.note(span, text("app.product.id", id));
        s.note(span, int("app.product.quantity", amount as i64));
        s.log(span, at, 9, format!("AddItem user={user} product={id} ({name}) quantity={amount}"));
        let key = format!("HSET cart:{user} {id} {amount}");
        let end = s.database(span, at, "redis", "HSET", key, 400.0);
        if s.random.chance(0.002) {
            let message = format!("redis: connection reset while saving the cart of {user}");
            let fault =
                Fault { grpc: 13, exception: "StackExchange.Redis.RedisException", message };
            s.throw(span, end, &fault);
            s.log(span, end, 17, fault.message.clone());
            return Done { end, fault: Some(fault) };
        }
        Done::at(end)
    })
}

fn view_cart(
    s: &mut Story<'_>,
    root: Place,
    at: i64,
    c: &Customer,
    _: &mut Option<Message>,
) -> Done {
    let cart = get_cart(s, root, at, c);
    let quoted = quote(s, root, cart.end);
    let priced = convert(s, root, quoted.end);
    let user = c.user.clone();
    let advised = s.call(root, priced.end, Service::Recommendation, "List", |s, span, at| {
        s.log(span, at + 300_000, 9, format!("recommending 4 products to {user}"));
        Done::at(at + s.random.took(3_000.0))
    });
    Done::at(advised.end)
}

fn checkout(
    s: &mut Story<'_>,
    root: Place,
    at: i64,
    c: &Customer,
    sent: &mut Option<Message>,
) -> Done {
    let order = s.random.bytes::<6>().map(|b| format!("{b:02x}")).concat();
    s.call(root, at, Service::Checkout, "PlaceOrder", |s, span, at| {
        s.note(span, text("app.order.id", order.clone()));
        s.note(span, text("user.id", c.user.clone()));
        s.log(span, at, 9, format!("placing order {order} of {}", c.user));
        let cart = get_cart(s, span, at, c);
        let read = get_product(s, span, cart.end);
        let quoted = quote(s, span, read.end);
        let priced = convert(s, span, quoted.end);
        let cents = s.random.below(40_000) + 500;
        let paid = pay(s, span, priced.end, cents);
        if paid.fault.is_some() {
            s.log(span, paid.end, 17, format!("order {order} failed: card not charged"));
            return paid;
        }
        s.note(span, int("app.order.amount_cents", cents as i64));
        let shipped = s.call(span, paid.end, Service::Shipping, "ShipOrder", |s, span, at| {
            let tracking = format!("{:010}", s.random.below(10_000_000_000));
            s.log(span, at, 9, format!("shipping order, tracking id {tracking}"));
            s.note(span, text("app.shipping.tracking_id", tracking));
            Done::at(at + s.random.took(1_800.0))
        });
        let key = format!("DEL cart:{}", c.user);
        let emptied = s.call(span, shipped.end, Service::Cart, "EmptyCart", |s, span, at| {
            Done::at(s.database(span, at, "redis", "DEL", key, 300.0))
        });
        let mailed = mail(s, span, emptied.end, &order);
        let published = publish(s, span, mailed.end, &order, sent);
        s.log(span, published, 9, format!("order {order} placed, {cents} cents"));
        Done::at(published)
    })
}

/// Charges the card; a provider that does not answer is asked up to three times.
fn pay(s: &mut Story<'_>, checkout: Place, mut at: i64, cents: u64) -> Done {
    let mut attempt = 1;
    loop {
        let done = s.call(checkout, at, Service::Payment, "Charge", |s, span, at| {
            s.note(span, int("app.payment.amount_cents", cents as i64));
            s.note(span, int("app.payment.attempt", attempt));
            charge(s, span, at, cents)
        });
        let retry = done.fault.as_ref().is_some_and(|f| f.grpc == 14) && attempt < 3;
        if !retry {
            return done;
        }
        let message = format!("payment unavailable, attempt {attempt} of 3, trying again");
        s.log(checkout, done.end, 13, message);
        at = done.end + attempt * 50_000_000 + s.random.took(5_000.0);
        attempt += 1;
    }
}

fn charge(s: &mut Story<'_>, span: Place, at: i64, cents: u64) -> Done {
    let down = s.incident == Some(Incident::PaymentDown);
    if s.random.chance(if down { 0.6 } else { 0.004 }) {
        let end = at + 2_000_000_000 + s.random.took(3_000.0);
        let message = "connect ETIMEDOUT 203.0.113.17:443 after 2000 ms".to_owned();
        let fault = Fault { grpc: 14, exception: "PaymentProviderUnavailable", message };
        s.throw(span, end, &fault);
        s.log(span, end, 17, format!("charge failed: {}", fault.message));
        return Done { end, fault: Some(fault) };
    }
    let end = at + s.random.took(22_000.0);
    if s.random.chance(0.03) {
        let message = "card declined: insufficient funds".to_owned();
        let fault = Fault { grpc: 9, exception: "CardDeclined", message };
        s.throw(span, end, &fault);
        s.log(span, end, 13, format!("card declined for {cents} cents"));
        return Done { end, fault: Some(fault) };
    }
    let transaction = s.random.bytes::<8>().map(|b| format!("{b:02x}")).concat();
    s.log(span, end, 9, format!("charged {cents} cents, transaction {transaction}"));
    s.note(span, text("app.payment.transaction_id", transaction));
    Done::at(end)
}

fn get_product(s: &mut Story<'_>, from: Place, at: i64) -> Done {
    let (id, _) = *s.random.pick(&PRODUCTS);
    s.call(from, at, Service::Catalog, "GetProduct", |s, span, at| {
        s.note(span, text("app.product.id", id));
        let slow = s.incident == Some(Incident::CatalogSlow);
        let query = format!("SELECT id, name, price, stock FROM products WHERE id = '{id}'");
        let median_us = catalog_us(s, 700.0);
        let end = s.database(span, at, "postgresql", "SELECT products", query, median_us);
        if slow && end - at > 40_000_000 {
            let took_ms = (end - at) / 1_000_000;
            s.log(span, end, 13, format!("slow query: {took_ms} ms for product {id}"));
        }
        if s.random.chance(0.001) {
            let message = format!("no product with id {id}");
            let fault = Fault { grpc: 5, exception: "NotFound", message };
            s.throw(span, end, &fault);
            return Done { end, fault: Some(fault) };
        }
        Done::at(end)
    })
}

fn catalog_us(s: &Story<'_>, usual: f64) -> f64 {
    if s.incident == Some(Incident::CatalogSlow) { usual * 60.0 } else { usual }
}

fn get_cart(s: &mut Story<'_>, from: Place, at: i64, c: &Customer) -> Done {
    let key = format!("HGETALL cart:{}", c.user);
    s.call(from, at, Service::Cart, "GetCart", |s, span, at| {
        Done::at(s.database(span, at, "redis", "HGETALL", key, 350.0))
    })
}

fn convert(s: &mut Story<'_>, from: Place, at: i64) -> Done {
    let to = *s.random.pick(&CURRENCIES);
    s.call(from, at, Service::Currency, "Convert", |s, span, at| {
        s.note(span, text("app.currency.to", to));
        Done::at(at + s.random.took(90.0))
    })
}

fn quote(s: &mut Story<'_>, from: Place, at: i64) -> Done {
    s.call(from, at, Service::Shipping, "GetQuote", |s, _, at| {
        Done::at(at + s.random.took(1_100.0))
    })
}

fn advertise(s: &mut Story<'_>, from: Place, at: i64) -> Done {
    s.call(from, at, Service::Ad, "GetAds", |s, span, at| {
        // A pause of the garbage collector now and then.
        let pause = if s.random.chance(0.01) { s.random.took(180_000.0) } else { 0 };
        if pause > 0 {
            let pause_ms = pause / 1_000_000;
            s.log(span, at + pause, 13, format!("GC pause of {pause_ms} ms"));
        }
        Done::at(at + pause + s.random.took(1_300.0))
    })
}

fn mail(s: &mut Story<'_>, from: Place, at: i64, order: &str) -> Done {
    s.call(from, at, Service::Email, "SendConfirmation", |s, span, at| {
        let end = at + s.random.took(14_000.0);
        s.log(span, end, 9, format!("confirmation of order {order} sent"));
        Done::at(end)
    })
}

fn publish(
    s: &mut Story<'_>,
    from: Place,
    at: i64,
    order: &str,
    sent: &mut Option<Message>,
) -> i64 {
    let attributes = messaging("send", order);
    let span = s.open(Some(from), Service::Checkout, Kind::Producer, "send orders", at, attributes);
    let end = at + s.random.took(800.0);
    s.close(span, &Done::at(end));
    let (trace, span) = s.ids(span);
    *sent = Some(Message { trace, span, sent: end, order: order.to_owned(), offset: 0 });
    end
}

fn messaging(operation: &'static str, order: &str) -> Vec<Attribute> {
    vec![
        text("messaging.system", "kafka"),
        text("messaging.destination.name", "orders"),
        text("messaging.operation.type", operation),
        text("messaging.message.id", order),
    ]
}

/// The books are kept a little later, in a trace of its own that links to the order's.
fn account(
    random: &mut Random,
    services: &Services,
    incident: Option<Incident>,
    message: &Message,
) -> Vec<Event> {
    receive(random, services, incident, message, Service::Accounting, |s, span, at| {
        let order = &message.order;
        let query = format!("INSERT INTO orders (id, state) VALUES ('{order}', 'placed')");
        let end = s.database(span, at, "postgresql", "INSERT orders", query, 1_900.0);
        s.log(span, end, 9, format!("order {order} booked"));
        Done::at(end)
    })
}

fn detect_fraud(
    random: &mut Random,
    services: &Services,
    incident: Option<Incident>,
    message: &Message,
) -> Vec<Event> {
    receive(random, services, incident, message, Service::Fraud, |s, span, at| {
        let score = s.random.skewed(100);
        s.note(span, int("app.fraud.score", score as i64));
        let end = at + s.random.took(6_000.0);
        let severity = if score > 90 { 13 } else { 9 };
        s.log(span, end, severity, format!("order {} has fraud score {score}", message.order));
        Done::at(end)
    })
}

fn receive(
    random: &mut Random,
    services: &Services,
    incident: Option<Incident>,
    message: &Message,
    service: Service,
    work: impl FnOnce(&mut Story<'_>, Place, i64) -> Done,
) -> Vec<Event> {
    let mut story = Story::new(random, services, incident);
    let start = message.sent + story.random.took(40_000.0);
    let mut attributes = messaging("process", &message.order);
    attributes.push(int("messaging.kafka.offset", message.offset as i64));
    attributes.push(text("messaging.consumer.group.name", service.name()));
    let span = story.open(None, service, Kind::Consumer, "process orders", start, attributes);
    story.link(span, message.trace, message.span);
    let done = work(&mut story, span, start + 200_000);
    story.close(span, &done);
    story.finish()
}
