-- The events that are measured: one property, and twenty with nested tables
-- and arrays. Both with a timestamp's worth of work left to `capture`.

local events = {}

events.small = {
  name = "user.signup",
  user_id = "user_123",
  data = { plan = "pro" },
}

events.big = {
  name = "order.completed",
  user_id = "user_76561197960287930",
  data = {
    order_id = "ord_01HQ3V5T9K",
    amount = 129.95,
    tax = 20.75,
    currency = "eur",
    items = {
      { sku = "SKU-1001", name = "Mechanical keyboard", price = 89.95,
        quantity = 1, tags = { "hardware", "input", "sale" } },
      { sku = "SKU-2040", name = "Wrist rest", price = 20,
        quantity = 2, tags = { "hardware" } },
    },
    customer = {
      id = 8123456, plan = "enterprise", since = "2021-04-01",
      address = { city = "Berlin", country = "DE", zip = "10115" },
    },
    coupon = "SPRING24",
    is_gift = false,
    is_first = true,
    shipping = { method = "express", cost = 9.5, days = 2 },
    referrer = "https://www.example.com/blog/keyboards?ref=newsletter",
    user_agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    screen = { width = 2560, height = 1440 },
    locale = "de-DE",
    session = "b4c5d6e7-0000-4000-8000-1234567890ab",
    experiments = { "checkout-v2", "free-shipping", "dark-mode" },
    duration_ms = 48211,
    score = 0.8731,
    retries = 0,
    note = "Please ring twice \"loudly\"",
  },
}

return events
