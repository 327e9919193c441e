-- The start state of each run: three customers, six products, eight orders.
CREATE TABLE customer (email TEXT PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE product (name TEXT PRIMARY KEY, price INTEGER, stock INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT, status TEXT, city TEXT);
CREATE TABLE item (order_id INTEGER, product TEXT, quantity INTEGER, returned INTEGER DEFAULT 0);

INSERT INTO customer VALUES
  ('ada@example.com', 'Ada Berg', 'Oslo'),
  ('ben@example.com', 'Ben Cole', 'Rome'),
  ('chloe@example.com', 'Chloe Diaz', 'Paris');

INSERT INTO product VALUES
  ('blue shirt', 25, 40), ('red shirt', 25, 12), ('green hat', 15, 30),
  ('wool socks', 8, 120), ('rain jacket', 90, 0), ('leather belt', 30, 5);

INSERT INTO orders VALUES
  (1201, 'ada@example.com', 'open', 'Oslo'),
  (1202, 'ada@example.com', 'shipped', 'Oslo'),
  (1203, 'ada@example.com', 'delivered', 'Oslo'),
  (1204, 'ben@example.com', 'delivered', 'Rome'),
  (1205, 'ben@example.com', 'open', 'Rome'),
  (1206, 'chloe@example.com', 'open', 'Paris'),
  (1207, 'chloe@example.com', 'delivered', 'Paris'),
  (1208, 'chloe@example.com', 'shipped', 'Paris');

INSERT INTO item (order_id, product, quantity) VALUES
  (1201, 'blue shirt', 2), (1202, 'red shirt', 1), (1203, 'green hat', 1),
  (1203, 'wool socks', 3), (1204, 'blue shirt', 1), (1204, 'red shirt', 1),
  (1205, 'leather belt', 1), (1206, 'green hat', 2), (1207, 'leather belt', 1),
  (1208, 'blue shirt', 1);
