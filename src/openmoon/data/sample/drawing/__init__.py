"""Drawing: products of many shapes, their catalogue photos, shopper photos and creatives."""
