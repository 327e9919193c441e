"""The tools of a small shop, on a SQLite database in the working folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from xlam_local import Effect, ToolError, tool

SANDBOX = "isolated"


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """Open the shop's database; changes are saved if no error occurs."""
    with closing(sqlite3.connect("shop.db")) as connection, connection:
        connection.row_factory = sqlite3.Row
        yield connection


def one_row(connection: sqlite3.Connection, query: str, value: object, problem: str) -> sqlite3.Row:
    """Return the row that a query finds for a value; raise ToolError if there is none."""
    row: sqlite3.Row | None = connection.execute(query, (value,)).fetchone()
    if row is None:
        raise ToolError(problem)
    return row


def find_order(connection: sqlite3.Connection, order: int) -> sqlite3.Row:
    """Return the row of an order."""
    query = "SELECT * FROM orders WHERE id = ?"
    return one_row(connection, query, order, f"There is no order {order}.")


def find_product(connection: sqlite3.Connection, name: str) -> sqlite3.Row:
    """Return the row of a product."""
    query = "SELECT * FROM product WHERE name = lower(?)"
    return one_row(connection, query, name, f"There is no product {name!r}.")


@tool(Effect.READ)
def search_products(text: str) -> list[dict[str, Any]]:
    """Find products with their price in euros and their stock.

    Args:
        text: A word of the product's name, such as shirt.
    """
    with database() as connection:
        query = "SELECT name, price, stock FROM product WHERE name LIKE ? ORDER BY name"
        return [dict(row) for row in connection.execute(query, (f"%{text}%",))]


@tool(Effect.READ)
def get_order(order: int) -> dict[str, Any]:
    """Return the status, the city and the items of an order.

    Args:
        order: The number of the order.
    """
    with database() as connection:
        found = dict(find_order(connection, order))
        query = "SELECT product, quantity, returned FROM item WHERE order_id = ?"
        return {**found, "items": [dict(row) for row in connection.execute(query, (order,))]}


@tool(Effect.READ)
def list_orders(email: str) -> list[dict[str, Any]]:
    """List the orders of a customer with their status.

    Args:
        email: The customer's email address.
    """
    with database() as connection:
        query = "SELECT id, status FROM orders WHERE email = ? ORDER BY id"
        return [dict(row) for row in connection.execute(query, (email,))]


@tool(Effect.READ)
def get_customer(email: str) -> dict[str, Any]:
    """Return the name and the city of a customer.

    Args:
        email: The customer's email address.
    """
    with database() as connection:
        query = "SELECT name, city FROM customer WHERE email = ?"
        return dict(one_row(connection, query, email, f"There is no customer {email}."))


@tool(Effect.WRITE)
def cancel_order(order: int) -> str:
    """Cancel an order that is still open.

    Args:
        order: The number of the order.
    """
    with database() as connection:
        status = find_order(connection, order)["status"]
        if status != "open":
            raise ToolError(f"Order {order} is {status} and cannot be cancelled.")
        connection.execute("UPDATE orders SET status = 'cancelled' WHERE id = ?", (order,))
        return f"Order {order} is cancelled."


@tool(Effect.WRITE)
def return_item(order: int, product: str) -> str:
    """Take back one product of an order that was delivered.

    Args:
        order: The number of the order.
        product: The name of the product, such as red shirt.
    """
    with database() as connection:
        status = find_order(connection, order)["status"]
        if status != "delivered":
            raise ToolError(f"Order {order} is {status}; only delivered orders can be returned.")
        query = "UPDATE item SET returned = 1 WHERE order_id = ? AND product = lower(?)"
        if not connection.execute(query, (order, product)).rowcount:
            raise ToolError(f"Order {order} has no {product}.")
        return f"The return of {product} is registered. The refund takes three days."


@tool(Effect.WRITE)
def change_city(order: int, city: str) -> str:
    """Send an order that is still open to another city.

    Args:
        order: The number of the order.
        city: The new city.
    """
    with database() as connection:
        status = find_order(connection, order)["status"]
        if status != "open":
            raise ToolError(f"Order {order} is {status}; its city cannot be changed.")
        connection.execute("UPDATE orders SET city = ? WHERE id = ?", (city, order))
        return f"Order {order} goes to {city}."


@tool(Effect.WRITE)
def create_order(email: str, product: str, quantity: int = 1) -> str:
    """Order a product for a customer.

    Args:
        email: The customer's email address.
        product: The name of the product, such as red shirt.
        quantity: How many to order.
    """
    with database() as connection:
        query = "SELECT city FROM customer WHERE email = ?"
        city = one_row(connection, query, email, f"There is no customer {email}.")["city"]
        found = find_product(connection, product)
        if quantity < 1 or found["stock"] < quantity:
            raise ToolError(f"Only {found['stock']} of {found['name']} are in stock.")
        query = "UPDATE product SET stock = stock - ? WHERE name = ?"
        connection.execute(query, (quantity, found["name"]))
        query = "INSERT INTO orders (email, status, city) VALUES (?, 'open', ?)"
        order = connection.execute(query, (email, city)).lastrowid
        query = "INSERT INTO item (order_id, product, quantity) VALUES (?, ?, ?)"
        connection.execute(query, (order, found["name"], quantity))
        return f"Order {order} is placed."
