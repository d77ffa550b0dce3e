from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [migrations.SeparateDatabaseAndState(state_operations=[migrations.CreateModel("Order", [("id", models.BigAutoField(primary_key=True)), ("total", models.DecimalField(max_digits=12, decimal_places=2))], options={"db_table": "orders"})])]
