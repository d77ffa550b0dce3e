from django.db import models
class Order(models.Model):
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    class Meta:
        db_table = "orders"
