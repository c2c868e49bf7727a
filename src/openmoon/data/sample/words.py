"""The words of the sample shop: what things are called by the shop and by the people who look for them."""

from __future__ import annotations

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (198, 40, 44),
    "burgundy": (110, 24, 46),
    "orange": (232, 124, 40),
    "yellow": (238, 200, 62),
    "olive": (112, 116, 52),
    "green": (38, 130, 78),
    "teal": (28, 128, 136),
    "sky blue": (130, 184, 228),
    "blue": (38, 92, 190),
    "navy": (28, 38, 84),
    "purple": (116, 62, 148),
    "pink": (238, 142, 172),
    "brown": (116, 76, 48),
    "beige": (214, 192, 158),
    "white": (240, 239, 234),
    "grey": (138, 140, 146),
    "black": (40, 38, 42),
}

SAID_COLOURS: dict[str, tuple[str, ...]] = {
    "burgundy": ("wine red", "maroon"),
    "navy": ("dark blue", "navy blue"),
    "sky blue": ("light blue", "baby blue"),
    "teal": ("turquoise",),
    "beige": ("cream", "sand"),
    "olive": ("khaki", "army green"),
    "grey": ("gray", "silver grey"),
    "purple": ("violet",),
    "pink": ("rose",),
    "orange": ("tangerine",),
    "yellow": ("mustard",),
    "brown": ("chocolate",),
}

DEPARTMENTS: dict[str, str] = {
    "t-shirt": "Clothing",
    "dress": "Clothing",
    "trousers": "Clothing",
    "sneaker": "Shoes",
    "boot": "Shoes",
    "handbag": "Bags",
    "backpack": "Bags",
    "hat": "Accessories",
    "watch": "Accessories",
    "sunglasses": "Accessories",
    "mug": "Kitchen",
    "bottle": "Kitchen",
    "vase": "Home",
    "lamp": "Home",
    "chair": "Furniture",
    "sofa": "Furniture",
}

SAID_TYPES: dict[str, tuple[str, ...]] = {
    "t-shirt": ("tee", "shirt", "top"),
    "dress": ("frock", "gown"),
    "trousers": ("pants", "slacks"),
    "sneaker": ("trainers", "kicks", "gym shoes"),
    "boot": ("boots", "booties"),
    "handbag": ("purse", "bag"),
    "backpack": ("rucksack", "school bag"),
    "hat": ("cap", "headwear"),
    "watch": ("wristwatch", "timepiece"),
    "sunglasses": ("shades", "sunnies"),
    "mug": ("cup", "coffee cup"),
    "bottle": ("flask", "water bottle"),
    "vase": ("flower vase", "pot"),
    "lamp": ("light", "night light"),
    "chair": ("seat",),
    "sofa": ("couch", "settee"),
}

MADE_OF: dict[str, tuple[str, ...]] = {
    "t-shirt": ("cotton", "linen", "silk", "wool"),
    "dress": ("cotton", "silk", "linen", "velvet"),
    "trousers": ("denim", "cotton", "linen", "wool"),
    "sneaker": ("canvas", "leather", "suede", "nylon"),
    "boot": ("leather", "suede", "rubber"),
    "handbag": ("leather", "canvas", "straw", "suede"),
    "backpack": ("nylon", "canvas", "leather"),
    "hat": ("wool", "cotton", "straw", "denim"),
    "watch": ("leather", "steel", "rubber"),
    "sunglasses": ("plastic", "steel", "wood"),
    "mug": ("ceramic", "stoneware", "glass"),
    "bottle": ("steel", "plastic", "glass"),
    "vase": ("ceramic", "stoneware", "glass"),
    "lamp": ("linen", "ceramic", "steel", "straw"),
    "chair": ("wood", "velvet", "plastic", "leather"),
    "sofa": ("velvet", "linen", "leather", "wool"),
}

SAID_PATTERNS: dict[str, tuple[str, ...]] = {
    "plain": ("plain", "single colour"),
    "striped": ("stripy", "stripes"),
    "pinstriped": ("thin stripes", "pinstripe"),
    "checked": ("plaid", "checkered"),
    "dotted": ("polka dot", "spotted"),
    "floral": ("flowery", "flower print"),
    "zigzag": ("chevron", "zig zag"),
    "camouflage": ("camo",),
    "argyle": ("diamond pattern",),
}

BRANDS = (
    "Norvik",
    "Alma & Co",
    "Petrel",
    "Lumen",
    "Kestrel",
    "Oakhurst",
    "Velora",
    "Tanuki",
    "Brisa",
    "Hartwell",
    "Miro",
    "Solstice",
    "Fjord",
    "Quill",
    "Zephyr",
    "Casa Luz",
    "Rookery",
    "Juniper",
    "Atlas",
    "Mirabel",
)

USES: dict[str, tuple[str, ...]] = {
    "snow": ("for the snow", "winter", "ski trip"),
    "beach": ("for the beach", "summer holiday", "seaside"),
    "forest": ("for hiking", "outdoor", "camping"),
    "city": ("for the city", "office", "commute"),
    "party": ("for a party", "birthday gift", "night out"),
    "home": ("for home", "cosy", "everyday"),
}

PRICES: dict[str, float] = {
    "t-shirt": 22,
    "dress": 59,
    "trousers": 48,
    "sneaker": 79,
    "boot": 119,
    "handbag": 89,
    "backpack": 65,
    "hat": 27,
    "watch": 149,
    "sunglasses": 72,
    "mug": 12,
    "bottle": 21,
    "vase": 34,
    "lamp": 58,
    "chair": 129,
    "sofa": 690,
}

PRAISE = ("new", "classic", "premium", "stylish", "modern", "vintage", "soft", "light", "handmade", "everyday")
SHOUTING = ("HOT SALE", "free shipping", "best price", "2025 new arrival", "limited offer", "top quality !!!")
POOR_TITLES = ("item {n}", "NEW!!!", "see picture", "product {n} {type}", "{brand} {n}", "{type}")
